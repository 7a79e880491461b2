/* Which pre-tokenizer the files of a directory mean: the steps of tokenizer.json in the spelling of vocab/pretoken.def, or what the
 * class of the tokenizer implies. */
#include "formats/tokenizer_hf.h"
#include "vocab/pretoken.h"

/* One step of the pre-tokenizer as a line of `steps`. */
static void put_step(smelt_buf *steps, const json_t *step, int depth)
{
    smelt_str type = {"?", 1}, behavior = {"Isolated", 8}, pattern;
    hf_json_str(step, "type", &type);
    if (str_eq(type, "Sequence") && depth < 8) {
        size_t i;
        json_t *item;
        json_array_foreach(json_object_get(step, "pretokenizers"), i, item) put_step(steps, item, depth + 1);
        return;
    }
    if (steps->size) buf_u8(steps, '\n');
    hf_json_str(step, "behavior", &behavior);
    if (str_eq(type, "ByteLevel")) {
        buf_printf(steps, "%s", hf_json_flag(step, "use_regex", true) ? "gpt2" : "bytes");
    } else if (str_eq(type, "Digits")) {
        buf_printf(steps, "%s", hf_json_flag(step, "individual_digits", false) ? "digits" : "digit-runs");
    } else if (str_eq(type, "Punctuation") && str_eq(behavior, "Contiguous")) {
        buf_printf(steps, "punctuation");
    } else if (str_eq(type, "Split")) {
        bool invert = hf_json_flag(step, "invert", false);
        const json_t *p = json_object_get(step, "pattern");
        /* What a pattern leaves out is a piece of its own or nothing; the patterns in use leave nothing out. */
        if ((str_eq(behavior, "Isolated") && !invert) || (str_eq(behavior, "Removed") && invert))
            buf_printf(steps, "split ");
        else
            buf_printf(steps, "split(%.*s%s) ", hf_shown(behavior), behavior.p, invert ? ",inverted" : "");
        if (hf_json_str(p, "Regex", &pattern)) {
            size_t at = steps->size;
            pretoken_regex(steps, pattern.p, pattern.n);
            /* Patterns that say the same as a step of its own. */
            static const struct {
                const char *pattern, *step;
            } same[] = {{"split \\p{N}", "digits"}, {"split \\p{N}+", "digit-runs"}};
            for (size_t i = 0; i < 2; i++)
                if (at >= 6 && steps->size - (at - 6) == strlen(same[i].pattern) &&
                    memcmp(steps->data + at - 6, same[i].pattern, strlen(same[i].pattern)) == 0) {
                    steps->size = at - 6;
                    buf_printf(steps, "%s", same[i].step);
                    break;
                }
        } else if (hf_json_str(p, "String", &pattern)) {
            buf_printf(steps, "text ");
            pretoken_regex(steps, pattern.p, pattern.n);
        }
    } else {
        buf_printf(steps, "%.*s", hf_shown(type), type.p);
    }
}

/* ByteLevel's own pattern may also stand as a Split before a ByteLevel without. */
static void join_gpt2(smelt_buf *steps)
{
    static const char apart[] = "split 's|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+\nbytes";
    size_t n = sizeof apart - 1;
    if (steps->size < n || memcmp(steps->data + steps->size - n, apart, n) != 0) return;
    steps->size -= n;
    buf_printf(steps, "gpt2");
}

static void put_normalizer(smelt_buf *out, const json_t *n, int depth)
{
    smelt_str type;
    if (depth > 8 || !hf_json_str(n, "type", &type)) return;
    if (str_eq(type, "Sequence")) {
        size_t i;
        json_t *item;
        json_array_foreach(json_object_get(n, "normalizers"), i, item) put_normalizer(out, item, depth + 1);
        return;
    }
    if (out->size) buf_u8(out, '+');
    for (size_t i = 0; i < type.n && i < 40; i++)
        buf_u8(out, (uint8_t)(type.p[i] >= 'A' && type.p[i] <= 'Z' ? type.p[i] + 32 : type.p[i]));
}

static bool digits_alone(const tok_bulk *b)
{
    for (size_t i = 0; i < b->n_words; i++) {
        const smelt_str s = b->words[i].text;
        if (s.n < 2 || s.p[0] == '<' || s.p[0] == '[') continue; /* names of special tokens are no text */
        for (size_t k = 0; k < s.n; k++)
            if (s.p[k] >= '0' && s.p[k] <= '9') return false;
    }
    return true;
}

/* Pre-tokenizers that slow tokenizer classes imply, for directories without tokenizer.json, and the types of models that have these
 * classes where no file names one. Source: transformers' auto mappings. */
static const struct {
    const char *class, *types, *pre;
} slow[] = {
    {"GPT2Tokenizer", "|gpt2|gpt_neo|gptj|", "gpt-2"},
    {"CodeGenTokenizer", "|codegen|phi|phi-msft|", "gpt-2"},
    {"Qwen2Tokenizer", "|qwen2|qwen2_moe|qwen3|qwen3_moe|", "qwen2"},
};

static const smelt_pretoken *slow_pre(const hf_files *f)
{
    const json_t *config = f->model->config;
    smelt_str class, type;
    const bool named =
        hf_json_str(f->tokenizer_config, "tokenizer_class", &class) || hf_json_str(config, "tokenizer_class", &class);
    const bool typed = hf_json_str(config, "model_type", &type) && type.n && !memchr(type.p, '|', type.n);
    for (size_t i = 0; i < sizeof slow / sizeof *slow; i++) {
        const size_t n = strlen(slow[i].class);
        const char *at = typed && !named ? strstr(slow[i].types, type.p) : NULL;
        /* "Fast" may stand behind. */
        if (named ? class.n >= n && memcmp(class.p, slow[i].class, n) == 0 : at && at[-1] == '|' && at[type.n] == '|')
            return pretoken_find(slow[i].pre);
    }
    return NULL;
}

static const smelt_pretoken *json_pre(hf_files *f, bool (*has_token)(const void *user, const char *text, size_t n),
                                      const void *user, smelt_status *st)
{
    smelt_buf steps = {0}, normalizer = {0};
    const smelt_pretoken *row = NULL;
    const json_t *model = json_object_get(f->tokenizer, "model"), *pre = json_object_get(f->tokenizer, "pre_tokenizer");
    if (json_is_object(pre)) put_step(&steps, pre, 0);
    join_gpt2(&steps);
    put_normalizer(&normalizer, json_object_get(f->tokenizer, "normalizer"), 0);
    buf_u8(&steps, 0);
    buf_u8(&normalizer, 0);
    if (steps.failed || normalizer.failed) {
        *st = smelt_oom(f->err);
    } else {
        smelt_pretoken_shape shape = {
            .steps = (const char *)steps.data,
            .normalizer = (const char *)normalizer.data,
            .ignore_merges = hf_json_flag(model, "ignore_merges", false),
            .digits_alone = digits_alone(&f->bulk),
            .has_token = has_token,
            .user = user,
        };
        *st = pretoken_match(&shape, &row, f->err);
    }
    buf_free(&steps);
    buf_free(&normalizer);
    return row;
}

smelt_status hf_pre_tokenizer(hf_files *f, bool (*has_token)(const void *user, const char *text, size_t n), const void *user,
                              const char **out)
{
    const smelt_pretoken *row;
    smelt_status st = SMELT_OK;
    if (f->ctx->pre_tokenizer) {
        row = pretoken_find(f->ctx->pre_tokenizer);
        if (!row) return pretoken_unknown(f->ctx->pre_tokenizer, f->err);
    } else if (f->tokenizer) {
        row = json_pre(f, has_token, user, &st);
        SMELT_TRY(st);
    } else {
        row = slow_pre(f);
        if (!row)
            return smelt_fail(f->err, SMELT_E_UNSUPPORTED,
                              "there is no tokenizer.json and tokenizer_class does not say how text is cut; --pre NAME does");
    }
    *out = row->name;
    return SMELT_OK;
}
