#include "vocab/chat.h"

/* %s stands for what is said, %e for the text of the EOS token. */
typedef struct chat_format {
    const char *name;
    const char *marks[2]; /* a template of this format contains them; the first format that fits is it */
    const char *begin;    /* before everything; may be NULL */
    const char *system;   /* a system message; NULL: it goes before the user's, with an empty line between */
    const char *user;     /* where a system message has been, or if there is only one form */
    const char *first;    /* the user's without a system message before it; NULL: the same */
} chat_format;

static const chat_format formats[] = {
    {"harmony",
     {"<|channel|>", "<|start|>"},
     "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\nKnowledge cutoff: 2024-06\n\n"
     "Reasoning: medium\n\n# Valid channels: analysis, commentary, final. Channel must be included for every message.<|end|>",
     "<|start|>developer<|message|># Instructions\n\n%s<|end|>",
     "<|start|>user<|message|>%s<|end|><|start|>assistant",
     NULL},
    {"llama-3",
     {"<|start_header_id|>", NULL},
     NULL,
     "<|start_header_id|>system<|end_header_id|>\n\n%s<|eot_id|>",
     "<|start_header_id|>user<|end_header_id|>\n\n%s<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
     NULL},
    {"ChatML",
     {"<|im_start|>", NULL},
     NULL,
     "<|im_start|>system\n%s<|im_end|>\n",
     "<|im_start|>user\n%s<|im_end|>\n<|im_start|>assistant\n",
     NULL},
    {"llama-2", {"<<SYS>>", "[INST]"}, NULL, "[INST] <<SYS>>\n%s\n<</SYS>>\n\n", "%s [/INST]", "[INST] %s [/INST]"},
    {"mistral", {"[INST]", NULL}, NULL, NULL, "[INST] %s [/INST]", NULL},
    {"zephyr", {"<|user|>", "<|assistant|>"}, NULL, "<|system|>\n%s%e\n", "<|user|>\n%s%e\n<|assistant|>\n", NULL},
};

enum { N_FORMATS = sizeof formats / sizeof *formats };

static bool contains(smelt_str s, const char *what) { return memmem(s.p, s.n, what, strlen(what)) != NULL; }

static void put_form(smelt_buf *out, const char *form, const smelt_vocab *v, const char *before, const char *said)
{
    for (const char *p = form; *p; p++) {
        const int64_t eos = v->special[SMELT_SP_EOS];
        if (p[0] == '%' && p[1] == 's') {
            if (before) buf_printf(out, "%s\n\n", before);
            buf_put(out, said, strlen(said));
            p++;
        } else if (p[0] == '%' && p[1] == 'e') {
            if (eos >= 0 && (uint64_t)eos < v->n) buf_put(out, v->text[eos].p, (size_t)v->text[eos].n);
            p++;
        } else
            buf_put(out, p, 1);
    }
}

smelt_status chat_prompt(const smelt_vocab *v, const char *system, const char *text, smelt_buf *out, smelt_err *err)
{
    if (!v || !v->n_templates) return smelt_fail(err, SMELT_E_UNSUPPORTED, "the model has no chat template");
    const smelt_str template = v->templates[0].text;
    const chat_format *f = NULL;
    for (size_t i = 0; i < N_FORMATS && !f; i++)
        if (contains(template, formats[i].marks[0]) && (!formats[i].marks[1] || contains(template, formats[i].marks[1])))
            f = &formats[i];
    if (!f)
        return smelt_fail(
            err, SMELT_E_UNSUPPORTED,
            "the chat template is of no format that smelt knows (harmony, llama-3, ChatML, llama-2, mistral, zephyr); "
            "write the prompt as the model wants it and leave --chat out");
    if (f->begin) put_form(out, f->begin, v, NULL, "");
    if (system && f->system) put_form(out, f->system, v, NULL, system);
    put_form(out, !system && f->first ? f->first : f->user, v, f->system ? NULL : system, text);
    return out->failed ? smelt_oom(err) : SMELT_OK;
}
