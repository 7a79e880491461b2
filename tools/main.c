/* The command: dispatch, help, error messages, exit codes. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/opts.h"
#include "tools/report.h"

#define SMELT_COMMAND(name) extern const command cmd_##name;
#include "tools/commands.def"
#undef SMELT_COMMAND

static const command *const commands[] = {
#define SMELT_COMMAND(name) &cmd_##name,
#include "tools/commands.def"
#undef SMELT_COMMAND
    NULL,
};

static const char *command_name(const void *table, size_t i)
{
    const command *const *c = table;
    return c[i] ? c[i]->name : NULL;
}

static const command *find(const char *name)
{
    for (const command *const *c = commands; *c; c++)
        if (strcmp((*c)->name, name) == 0) return *c;
    return NULL;
}

static void usage(FILE *to)
{
    fprintf(
        to,
        "usage: smelt COMMAND [OPTIONS] ...\n\nConverts, shrinks and shows model checkpoints: Hugging Face directories, safetensors,\nPyTorch files and GGUF.\n\ncommands:\n");
    for (const command *const *c = commands; *c; c++)
        fprintf(to, "  %-10s %s\n", (*c)->name, (*c)->summary);
    fprintf(to, "\n'smelt COMMAND --help' tells more; 'smelt --version' prints the version.\n");
}

static void command_usage(const command *c)
{
    printf("usage: smelt %s %s [OPTIONS]\n\n%s\n\noptions:\n", c->name, c->operands, c->summary);
    for (const opt *o = c->opts; o->name; o++) {
        char left[64];
        snprintf(left, sizeof left, "%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
        printf("  %-28s %s\n", left, o->help);
    }
    printf("  %-28s %s\n", "--help", "show this");
    if (c->more) printf("\n%s", c->more);
    if (c->list) printf("  %s\n", c->list());
}

static int complain(const smelt_err *err, smelt_status st)
{
    fprintf(stderr, "smelt: %s%s%s", err->where, err->where[0] ? ": " : "", err->text[0] ? err->text : smelt_status_text(st));
    if (err->has_offset) fprintf(stderr, " (at byte %llu)", (unsigned long long)err->offset);
    fputc('\n', stderr);
    return smelt_status_exit_code(st);
}

static smelt_status flush_output(smelt_err *err)
{
    bool bad = fflush(stdout) != 0 || ferror(stdout);
    return bad ? smelt_fail_errno(err, "cannot write to standard output") : SMELT_OK;
}

/* Ends a command that only printed. */
static int printed(void)
{
    smelt_err err = {0};
    smelt_status st = flush_output(&err);
    return st == SMELT_OK ? 0 : complain(&err, st);
}

static int run(const command *c, int argc, char **argv)
{
    smelt_err err = {0};
    int n = 0;
    bool help = false;
    void *opts = calloc(1, c->opts_size ? c->opts_size : 1);
    const char **operand = calloc((size_t)argc + 1, sizeof *operand);
    smelt_status st = opts && operand ? opts_parse(c, argc, argv, opts, operand, &n, &help, &err) : smelt_oom(&err);
    if (st == SMELT_OK && help)
        command_usage(c);
    else if (st == SMELT_OK)
        st = c->run(opts, operand, n, &err);
    free(opts);
    free(operand);
    if (st == SMELT_OK) st = flush_output(&err);
    int code = st == SMELT_OK ? 0 : complain(&err, st);
    if (st == SMELT_E_USAGE) fprintf(stderr, "'smelt %s --help' tells how\n", c->name);
    /* Whoever waits for us is to see that a signal ended this. */
    if (st == SMELT_E_CANCELLED && reporter_signal()) raise(reporter_signal());
    return code;
}

/* OpenBLAS starts threads of its own as it is loaded, which then take processor time from ours while they wait for work. Products here
 * are on one thread each, so they may go. Not declared in its headers, and absent where it was built without threads. */
__attribute__((weak)) int blas_thread_shutdown_(void);

int main(int argc, char **argv)
{
    if (blas_thread_shutdown_) blas_thread_shutdown_();
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || (strcmp(name, "help") == 0 && argc == 2)) {
        usage(stdout);
        return printed();
    }
    if (strcmp(name, "--version") == 0) {
        printf("smelt %s\n", smelt_version());
        return printed();
    }
    const command *c = find(strcmp(name, "help") == 0 ? argv[2] : name);
    if (!c) {
        const char *wrong = strcmp(name, "help") == 0 ? argv[2] : name, *near = nearest(wrong, command_name, commands);
        fprintf(stderr, "smelt: unknown command '%s'%s%s%s\n'smelt --help' lists them\n", wrong, near ? "; did you mean " : "",
                near ? near : "", near ? "?" : "");
        return 2;
    }
    if (strcmp(name, "help") == 0) {
        command_usage(c);
        return printed();
    }
    return run(c, argc - 2, argv + 2);
}
