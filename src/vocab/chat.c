#include "vocab/chat.h"

/* In a form %s stands for what is said, %e for the text of the EOS token, %d for the date as 2024-07-26 and %D for it as 26 Jul 2024. In
 * a mark a line end also stands for its escape. */
typedef struct chat_format {
    const char *name;
    const char *marks[3]; /* a template of this format contains them; the first format that fits is it */
    const char *without;  /* and not this; may be NULL */
    const char *begin;    /* before everything; may be NULL */
    const char *system;   /* a system message of its own */
    const char *join;     /* or in front of the user's text; both NULL: there is none */
    const char *user;
    /* Begins the answer; what follows it in the template's text, up to the quote, belongs to it. NULL: `user` has it. */
    const char *turn;
    bool trim; /* white space around what is said is left out */
} chat_format;

#define LLAMA3_USER "<|start_header_id|>user<|end_header_id|>\n\n%s<|eot_id|>"
#define LLAMA3_TURN "<|start_header_id|>assistant<|end_header_id|>\n\n"

static const chat_format formats[] = {
    {.name = "harmony",
     .marks = {"<|channel|>", "<|start|>", "Reasoning: "},
     .begin =
         "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\nKnowledge cutoff: 2024-06\n"
         "Current date: %d\n\nReasoning: medium\n\n# Valid channels: analysis, commentary, final. Channel must be included for "
         "every message.<|end|>",
     .system = "<|start|>developer<|message|># Instructions\n\n%s\n\n<|end|>",
     .user = "<|start|>user<|message|>%s<|end|><|start|>assistant"},
    {.name = "llama-3.1",
     .marks = {"<|start_header_id|>", "Cutting Knowledge Date: December 2023\n", "Today Date: "},
     .begin = "<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: %D\n\n",
     .system = "%s",
     .user = "<|eot_id|>" LLAMA3_USER,
     .turn = LLAMA3_TURN,
     .trim = true},
    {.name = "llama-3",
     .marks = {"'<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'", "| trim + '<|eot_id|>'"},
     .system = "<|start_header_id|>system<|end_header_id|>\n\n%s<|eot_id|>",
     .user = LLAMA3_USER,
     .turn = LLAMA3_TURN,
     .trim = true},
    {.name = "phi-4",
     .marks = {"<|im_start|>user<|im_sep|>"},
     .system = "<|im_start|>system<|im_sep|>%s<|im_end|>",
     .user = "<|im_start|>user<|im_sep|>%s<|im_end|><|im_start|>assistant<|im_sep|>"},
    {.name = "ChatML",
     .marks = {"<|im_start|>", "<|im_end|>"},
     .system = "<|im_start|>system\n%s<|im_end|>\n",
     .user = "<|im_start|>user\n%s<|im_end|>\n",
     .turn = "<|im_start|>assistant\n"},
    {.name = "llama-2",
     .marks = {"'<<SYS>>\n' + system_message + '\n<</SYS>>\n\n'", "'[INST] ' + content"},
     .join = "<<SYS>>\n%s\n<</SYS>>\n\n",
     .user = "[INST] %s [/INST]",
     .trim = true},
    {.name = "mistral v7",
     .marks = {"'[SYSTEM_PROMPT] '", "'[INST] '", "'[/INST]'"},
     .system = "[SYSTEM_PROMPT] %s[/SYSTEM_PROMPT]",
     .user = "[INST] %s[/INST]"},
    {.name = "mistral v1",
     .without = "<<SYS>>",
     .marks = {"' [INST] '", "' [/INST]'"},
     .join = "%s\n\n",
     .user = " [INST] %s [/INST]"},
    {.name = "mistral", .without = "<<SYS>>", .marks = {"'[INST] '", "' [/INST]'"}, .join = "%s\n\n", .user = "[INST] %s [/INST]"},
    {.name = "mistral v3", .marks = {"\"[INST] \"", "\"[/INST]\""}, .join = "%s\n\n", .user = "[INST] %s[/INST]"},
    {.name = "mistral tekken", .marks = {"\"[INST]\"", "\"[/INST]\""}, .join = "%s\n\n", .user = "[INST]%s[/INST]"},
    {.name = "zephyr",
     .marks = {"'<|user|>\n' + message['content'] + eos_token", "'<|assistant|>'"},
     .system = "<|system|>\n%s%e\n",
     .user = "<|user|>\n%s%e\n<|assistant|>\n"},
    {.name = "phi-3",
     .marks = {"<|user|>", "message['content'] + '<|end|>", "<|assistant|>"},
     .system = "<|system|>\n%s<|end|>\n",
     .user = "<|user|>\n%s<|end|>\n<|assistant|>\n"},
    {.name = "phi-3",
     .marks = {"'<|' + message['role'] + '|>' + '\n' + message['content'] + '<|end|>\n'"},
     .system = "<|system|>\n%s<|end|>\n",
     .user = "<|user|>\n%s<|end|>\n<|assistant|>\n"},
};

enum { N_FORMATS = sizeof formats / sizeof *formats };

/* What is behind a mark, from `p` on, or NULL. */
static const char *behind(const char *p, const char *end, const char *mark)
{
    for (; p < end; p++) {
        const char *q = p, *m = mark;
        while (*m && q < end) {
            if (*m == '\n' && end - q >= 2 && q[0] == '\\' && q[1] == 'n')
                q += 2;
            else if (*q == *m)
                q++;
            else
                break;
            m++;
        }
        if (!*m) return q;
    }
    return NULL;
}

static const char *find(smelt_str template, const char *mark) { return behind(template.p, template.p + template.n, mark); }

/* The text from `p` to the quote that ends it, or to `stop`, without its escapes. False if it has neither. */
static bool literal(const char *p, const char *end, const char *stop, size_t stop_size, smelt_buf *out)
{
    for (; p < end; p++) {
        if (stop && (size_t)(end - p) >= stop_size && memcmp(p, stop, stop_size) == 0) return true;
        if (*p == '\'' || *p == '"') return !stop;
        if (*p == '\\' && p + 1 < end) {
            p++;
            buf_u8(out, (uint8_t)(*p == 'n' ? '\n' : *p));
        } else
            buf_u8(out, (uint8_t)*p);
    }
    return false;
}

/* True if what is printed ends with the quote at `p`. */
static bool ends_there(const char *p, const char *end)
{
    for (p++; p < end && strchr(" -", *p);)
        p++;
    return end - p >= 2 && p[0] == '}' && p[1] == '}';
}

/* True if the last statement before `p` is about tools, of which a plain chat has none. */
static bool for_tools(const char *begin, const char *p)
{
    const char *tag = p;
    while (tag > begin && !(tag[0] == '{' && tag[1] == '%'))
        tag--;
    return behind(tag, p, "if tools") != NULL;
}

/* The system message of a template whose user gives none: written out in a message of its form, or as what a variable is set to. False
 * if it is put together from more than one text. */
static bool default_system(smelt_str template, const chat_format *f, smelt_buf *out)
{
    const char *end = template.p + template.n, *p = template.p;
    const char *said = f->system ? strstr(f->system, "%s") : NULL;
    if (said && said != f->system) {
        char before[64], after[64];
        const size_t n = (size_t)(said - f->system), m = strcspn(said + 2, "\n%");
        memcpy(before, f->system, n);
        before[n] = 0;
        memcpy(after, said + 2, m);
        while (m && (p = behind(p, end, before))) {
            out->size = 0;
            const bool whole = literal(p, end, after, m, out);
            if (out->size) return whole;
            if (ends_there(p, end) && !for_tools(template.p, p)) return false;
        }
    }
    if (find(template, "false == true")) return true; /* how templates switch a default off */
    for (p = template.p; (p = behind(p, end, "system_message = "));) {
        out->size = 0;
        if (p < end && (*p == '\'' || *p == '"') && literal(p + 1, end, NULL, 0, out) && out->size) return true;
    }
    out->size = 0;
    return true;
}

static smelt_str trimmed(smelt_str s)
{
    while (s.n && strchr(" \t\n\r\f\v", s.p[0]))
        s.p++, s.n--;
    while (s.n && strchr(" \t\n\r\f\v", s.p[s.n - 1]))
        s.n--;
    return s;
}

typedef struct chat_facts {
    smelt_str eos;
    char date[16], words[32]; /* %d, %D */
} chat_facts;

static void put_form(smelt_buf *out, const char *form, const chat_facts *facts, smelt_str said)
{
    for (const char *p = form; *p; p++) {
        if (*p != '%') {
            buf_u8(out, (uint8_t)*p);
            continue;
        }
        p++;
        if (*p == 's') buf_put(out, said.p, (size_t)said.n);
        if (*p == 'e') buf_put(out, facts->eos.p, (size_t)facts->eos.n);
        if (*p == 'd') buf_put(out, facts->date, strlen(facts->date));
        if (*p == 'D') buf_put(out, facts->words, strlen(facts->words));
    }
}

static bool fits(smelt_str template, const chat_format *f)
{
    enum { MARKS = sizeof f->marks / sizeof *f->marks };
    for (size_t i = 0; i < MARKS && f->marks[i]; i++)
        if (!find(template, f->marks[i])) return false;
    return !f->without || !find(template, f->without);
}

/* What is behind the last mention of a mark, or `otherwise`. */
static const char *behind_last(smelt_str template, const char *mark, const char *otherwise)
{
    const char *end = template.p + template.n, *last = otherwise;
    for (const char *p = template.p; (p = behind(p, end, mark));)
        last = p;
    return last;
}

/* The format of a template; NULL for none, or for one that is seen to do what its format has no place for. `answer` gets what begins
 * the answer beyond the format's turn, `own` the template's own system message. */
static const chat_format *recognise(smelt_str template, smelt_buf *answer, smelt_buf *own)
{
    const char *end = template.p + template.n;
    const chat_format *f = NULL;
    for (size_t i = 0; i < N_FORMATS && !f; i++)
        if (fits(template, &formats[i])) f = &formats[i];
    if (!f || (!f->begin && find(template, "strftime_now")) || !default_system(template, f, own)) return NULL;
    if (!f->turn) return f;
    const char *last = behind_last(template, f->turn, NULL);
    if (!last || !literal(last, end, NULL, 0, answer)) return NULL;
    /* An answer that begins in one of two ways, or with more than one text. (What a variable must ask for does no harm.) */
    if (behind(behind_last(template, "add_generation_prompt", last), end, " else ")) return NULL;
    const char *more = behind(last, end, "{{");
    return more && !behind(last, more, " is defined and ") ? NULL : f;
}

static smelt_status render(const chat_format *f, const chat_facts *facts, smelt_str system, smelt_str text, smelt_str answer,
                           smelt_buf *out)
{
    smelt_buf joined = {0};
    if (f->trim && !f->join) {
        system = trimmed(system);
        text = trimmed(text);
    }
    if (f->begin) put_form(out, f->begin, facts, (smelt_str){0});
    if (system.p && f->system) put_form(out, f->system, facts, system);
    if (f->join) {
        if (system.p) put_form(&joined, f->join, facts, system);
        buf_put(&joined, text.p, (size_t)text.n);
        text = (smelt_str){(const char *)joined.data, joined.size};
        if (f->trim) text = trimmed(text);
    }
    put_form(out, f->user, facts, text);
    if (f->turn) put_form(out, f->turn, facts, (smelt_str){0});
    buf_put(out, answer.p, (size_t)answer.n);
    const bool failed = out->failed || joined.failed;
    buf_free(&joined);
    return failed ? SMELT_E_NOMEM : SMELT_OK;
}

smelt_status chat_prompt(const smelt_vocab *v, const char *system, const char *text, const struct tm *today, smelt_buf *out,
                         smelt_err *err)
{
    if (!v || !v->n_templates) return smelt_fail(err, SMELT_E_UNSUPPORTED, "the model has no chat template");
    const smelt_str template = v->templates[0].text;
    smelt_buf answer = {0}, own = {0};
    const chat_format *f = recognise(template, &answer, &own);
    smelt_status st = SMELT_OK;
    if (!f)
        st = smelt_fail(err, SMELT_E_UNSUPPORTED,
                        "the chat template is of no format that smelt knows (harmony, llama-2, llama-3, ChatML, mistral, zephyr, "
                        "phi-3, phi-4), or does more than its format; write the prompt as the model wants it and leave --chat out");
    else if (system && !find(template, "system") && !find(template, "message['role'] +") && !find(template, "message.role +"))
        st = smelt_fail(err, SMELT_E_USAGE, "the model's chat template (%s) takes no system message", f->name);
    if (st == SMELT_OK) {
        chat_facts facts = {.words = "26 Jul 2024"};
        const int64_t eos = v->special[SMELT_SP_EOS];
        if (eos >= 0 && (uint64_t)eos < v->n) facts.eos = v->text[eos];
        strftime(facts.date, sizeof facts.date, "%Y-%m-%d", today);
        if (find(template, "strftime_now")) strftime(facts.words, sizeof facts.words, "%d %b %Y", today);
        smelt_str from = {system, system ? strlen(system) : 0};
        if (!system && own.size) from = (smelt_str){(const char *)own.data, own.size};
        st = render(f, &facts, from, (smelt_str){text, strlen(text)}, (smelt_str){(const char *)answer.data, answer.size}, out);
    }
    if (answer.failed || own.failed || st == SMELT_E_NOMEM) st = smelt_oom(err);
    buf_free(&answer);
    buf_free(&own);
    return st;
}
