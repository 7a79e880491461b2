/* Command-line options from tables: one row names, documents and stores an option. */
#ifndef SMELT_TOOLS_OPTS_H
#define SMELT_TOOLS_OPTS_H

#include "base/nearest.h"
#include "base/status.h"

typedef enum opt_kind {
    OPT_FLAG,  /* bool */
    OPT_TEXT,  /* const char * */
    OPT_COUNT, /* uint64_t: a whole number */
    OPT_SIZE,  /* uint64_t: bytes, with K, M or G (thousands of thousands, as in split sizes) */
    OPT_REAL,  /* double: at least 0 */
    OPT_LIST,  /* opt_list: may be given several times */
} opt_kind;

enum { OPT_LIST_MAX = 256 };
typedef struct opt_list {
    const char *item[OPT_LIST_MAX];
    size_t n;
} opt_list;

/* What a file that was written says of an option. */
typedef enum opt_record {
    OPT_VALUE, /* its value */
    OPT_ASIDE, /* nothing: the output does not depend on it */
    OPT_LINES, /* it names a text file, or is the text itself if it holds a line end: the text */
    OPT_HASH,  /* it names a file: the hash of that */
} opt_record;

typedef struct opt {
    const char *name; /* "--type"; NULL ends a table */
    opt_kind kind;
    const char *arg; /* what stands for the value in help texts; NULL for flags */
    const char *help;
    size_t offset; /* in the command's option struct */
    opt_record record;
} opt;

typedef struct command {
    const char *name, *summary;
    const char *operands; /* "SRC DST" */
    int min, max;         /* number of operands */
    const opt *opts;
    size_t opts_size; /* of the option struct, zeroed before parsing */
    /* Runs with parsed options; returns the status for the exit code, having said nothing on failure. */
    smelt_status (*run)(const void *opts, const char *const *operand, int n, smelt_err *err);
    const char *more;          /* further help text, or NULL */
    const char *(*list)(void); /* names to end the help with, or NULL */
} command;

/* Parses argv[0..argc) into `out` and `operand`, which has room for argc. Options may stand anywhere; "--" ends them. E_USAGE with a suggestion for
 * what is not known. *help is set if --help was among them. */
smelt_status opts_parse(const command *cmd, int argc, char **argv, void *out, const char **operand, int *n, bool *help,
                        smelt_err *err);

#endif
