/* Whether two models are made alike: every difference by its name. What a container cannot say is none. */
#include <math.h>
#include <string.h>

#include "verify/internal.h"
#include "vocab/vocab.h"

enum { MOST_LISTED = 1000, MOST_TOKENS = 32 };

typedef struct comparison {
    const smelt_ctx *ctx;
    const smelt_model *a, *b; /* candidate, original */
    verify_result *r;
    verify_difference *list, *notes;
    size_t n, cap, n_notes, cap_notes;
    bool failed;
} comparison;

/* Texts are in the arena, or NULL for nothing. */
static void add(comparison *c, bool note, verify_area area, const char *name, const char *found, const char *expected)
{
    verify_difference **list = note ? &c->notes : &c->list;
    size_t *n = note ? &c->n_notes : &c->n, *cap = note ? &c->cap_notes : &c->cap;
    if (!note) c->r->structure.differences++;
    if (*n >= MOST_LISTED) return;
    c->failed = c->failed || !name || !arena_room(&c->r->arena, list, *n, cap, sizeof **list);
    if (c->failed) return;
    (*list)[(*n)++] = (verify_difference){area, note, name, found, expected};
}

static char *text_of_shape(comparison *c, const smelt_shape *s)
{
    char buf[256];
    char *text = arena_strdup(&c->r->arena, shape_text(s, buf, sizeof buf));
    c->failed = c->failed || !text;
    return text;
}

static const char *quoted(comparison *c, smelt_str s)
{
    const char *text = verify_quote(&c->r->arena, s);
    c->failed = c->failed || !text;
    return text;
}

static const char *number(comparison *c, double v)
{
    const char *text = arena_printf(&c->r->arena, "%.9g", v);
    c->failed = c->failed || !text;
    return text;
}

/* The tensor that a model's head and embedding share is stored once or twice. */
static bool head_is_embedding(comparison *c, const smelt_model *m, const smelt_tensor *head)
{
    enum { STEP = 4096 };
    float x[STEP], y[STEP];
    const smelt_tensor *embd = NULL;
    for (size_t i = 0; i < m->n_tensors; i++)
        if (m->tensors[i].role == SMELT_R_TOKEN_EMBD && m->tensors[i].part == SMELT_PART_WEIGHT) embd = &m->tensors[i];
    uint64_t n;
    if (!embd || !shape_equal(&embd->shape, &head->shape) || !shape_elems(&head->shape, &n) || !c->ctx->codec[embd->dtype].unpack ||
        !c->ctx->codec[head->dtype].unpack)
        return false;
    for (uint64_t at = 0, step; at < n; at += step) {
        step = n - at < STEP ? n - at : STEP;
        tensor_floats(c->ctx, head, at, step, x);
        tensor_floats(c->ctx, embd, at, step, y);
        if (memcmp(x, y, step * sizeof *x) != 0) return false;
    }
    return true;
}

static void tensors(comparison *c)
{
    for (size_t i = 0; i < c->b->n_tensors; i++) {
        const smelt_tensor *t = &c->b->tensors[i], *have = model_find(c->a, t->name);
        if (t->role == SMELT_R_ROPE_FREQS) continue; /* compared by what it does */
        const char *name = arena_strdup(&c->r->arena, t->name);
        if (have && !shape_equal(&have->shape, &t->shape))
            add(c, false, AREA_SHAPE, name, text_of_shape(c, &have->shape), text_of_shape(c, &t->shape));
        if (have) continue;
        const bool tied = t->role == SMELT_R_OUTPUT && t->part == SMELT_PART_WEIGHT && head_is_embedding(c, c->b, t);
        add(c, tied, AREA_TENSOR, name, tied ? "is the embedding, as in the original" : NULL, text_of_shape(c, &t->shape));
    }
    for (size_t i = 0; i < c->a->n_tensors; i++) {
        const smelt_tensor *t = &c->a->tensors[i];
        if (t->role == SMELT_R_ROPE_FREQS || model_find(c->b, t->name)) continue;
        /* Its values are compared with the embedding's. */
        const bool head = t->role == SMELT_R_OUTPUT && t->part == SMELT_PART_WEIGHT;
        add(c, head, AREA_TENSOR, arena_strdup(&c->r->arena, t->name), text_of_shape(c, &t->shape), head ? "the embedding" : NULL);
    }
}

/* What a file's format may be unable to say, or says otherwise, and what follows from the tensors. */
static bool compared_elsewhere(smelt_hp id)
{
    static const smelt_hp list[] = {
        SMELT_HP_FILE_TYPE,      SMELT_HP_KV_SAID,        SMELT_HP_QKV,           SMELT_HP_TIED,          SMELT_HP_VOCAB,
        SMELT_HP_KEY_DIM,        SMELT_HP_VALUE_DIM,      SMELT_HP_ROTARY_PCT,    SMELT_HP_ATTN_BIAS,     SMELT_HP_MLP_BIAS,
        SMELT_HP_QKV_BIAS,       SMELT_HP_NORM_BIAS,      SMELT_HP_OUT_BIAS,      SMELT_HP_HEAD_BIAS,     SMELT_HP_QK_NORM,
        SMELT_HP_ALIBI,          SMELT_HP_GROUPED,        SMELT_HP_MULTI_QUERY,   SMELT_HP_TWO_NORMS,     SMELT_HP_SECOND_NORM,
        SMELT_HP_LOCAL,          SMELT_HP_LOCAL_ON,       SMELT_HP_LOCAL_LAYERS,  SMELT_HP_WINDOW,        SMELT_HP_WINDOW_PERIOD,
        SMELT_HP_ROPE_SCALING,   SMELT_HP_ROPE_FACTOR,    SMELT_HP_ROPE_ORIG_CTX, SMELT_HP_YARN_EXT,      SMELT_HP_YARN_ATTN,
        SMELT_HP_YARN_BETA_FAST, SMELT_HP_YARN_BETA_SLOW, SMELT_HP_YARN_TRUNCATE, SMELT_HP_ROPE_LOW_FREQ, SMELT_HP_ROPE_HIGH_FREQ,
        SMELT_HP_ROPE_BASE};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (list[i] == id) return true;
    return false;
}

static double hp_value(const smelt_hparams *hp, smelt_hp id) { return hp->set[id] ? hp->v[id] : 0; }

/* What the family takes it to be where a file says nothing. */
static double hp_effective(const smelt_model *m, smelt_hp id)
{
    const smelt_block *b = &m->arch->block;
    const double family[SMELT_HP_COUNT] = {
        [SMELT_HP_NORM_TOPK] = b->norm_topk,
        [SMELT_HP_SWIGLU_ALPHA] = b->swiglu_alpha,
        [SMELT_HP_SWIGLU_LIMIT] = b->swiglu_limit,
        [SMELT_HP_PARALLEL] = b->parallel,
    };
    return m->hp.set[id] ? m->hp.v[id] : family[id];
}
/* GGUF's numbers are float32. */
static bool same_number(double a, double b) { return (float)a == (float)b; }

static void add_hparam(comparison *c, bool note, smelt_hp id)
{
    smelt_arena *arena = &c->r->arena;
    add(c, note, AREA_HPARAM, hp_name(arena, id), hp_text(arena, &c->a->hp, id), hp_text(arena, &c->b->hp, id));
}

static bool has_rope(const smelt_model *m)
{
    return m->arch->block.turn != TURN_NONE && !(m->hp.set[SMELT_HP_ALIBI] && m->hp.v[SMELT_HP_ALIBI] != 0);
}

/* Turns of all pairs for a text of that length, with the frequency factors of a tensor, and behind them the scale. */
static bool turns(comparison *c, const smelt_model *m, uint64_t length, size_t pairs, float *out)
{
    float factors[64];
    arch_rope(m, length, out, &out[pairs]);
    for (size_t i = 0; i < m->n_tensors; i++) {
        const smelt_tensor *t = &m->tensors[i];
        uint64_t n;
        if (t->role != SMELT_R_ROPE_FREQS || !shape_elems(&t->shape, &n) || n != pairs) continue;
        if (!c->ctx->codec[t->dtype].unpack) return false;
        for (uint64_t at = 0, step; at < n; at += step) {
            step = n - at < 64 ? n - at : 64;
            tensor_floats(c->ctx, t, at, step, factors);
            for (uint64_t k = 0; k < step; k++)
                out[at + k] /= factors[k];
        }
    }
    return true;
}

static bool close_enough(float a, float b) { return fabsf(a - b) <= 2e-6F * fabsf(b) || (isnan(a) && isnan(b)); }

/* By what it does: containers spell the same turns in different ways. */
static void rope(comparison *c)
{
    static const smelt_hp named[] = {SMELT_HP_ROPE_SCALING,   SMELT_HP_ROPE_BASE,     SMELT_HP_ROPE_FACTOR,
                                     SMELT_HP_ROPE_ORIG_CTX,  SMELT_HP_YARN_ATTN,     SMELT_HP_YARN_BETA_FAST,
                                     SMELT_HP_YARN_BETA_SLOW, SMELT_HP_YARN_TRUNCATE, SMELT_HP_ROPE_LOW_FREQ,
                                     SMELT_HP_ROPE_HIGH_FREQ, SMELT_HP_YARN_EXT};
    if (has_rope(c->a) != has_rope(c->b)) {
        add(c, false, AREA_HPARAM, "RoPE", has_rope(c->a) ? "used" : "not used", has_rope(c->b) ? "used" : "not used");
        return;
    }
    if (!has_rope(c->a)) return;
    const smelt_hparams *hp = &c->b->hp;
    const uint64_t dim = hp->set[SMELT_HP_ROPE_DIM] ? hp_u64(hp, SMELT_HP_ROPE_DIM) : hp_u64(hp, SMELT_HP_HEAD_DIM);
    const uint64_t other =
        c->a->hp.set[SMELT_HP_ROPE_DIM] ? hp_u64(&c->a->hp, SMELT_HP_ROPE_DIM) : hp_u64(&c->a->hp, SMELT_HP_HEAD_DIM);
    if (dim != other) return; /* a difference of its own */
    const size_t pairs = (size_t)(dim / 2);
    float *x = arena_calloc(&c->r->arena, 2 * (pairs + 1), sizeof *x), *y = x + pairs + 1;
    if (!x) {
        c->failed = true;
        return;
    }
    /* Beyond the context turns may depend on the length, which GGUF cannot say. */
    const uint64_t lengths[] = {0, 2 * hp_u64(hp, SMELT_HP_CTX)};
    bool differ[2] = {false, false};
    for (size_t l = 0; l < 2; l++) {
        if (!turns(c, c->a, lengths[l], pairs, x) || !turns(c, c->b, lengths[l], pairs, y)) continue;
        for (size_t i = 0; i <= pairs; i++)
            differ[l] = differ[l] || !close_enough(x[i], y[i]);
    }
    if (!differ[0] && !differ[1]) return;
    const bool note = !differ[0] && c->a->meta_complete;
    const size_t before = c->n + c->n_notes;
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if ((hp_in_use(&c->a->hp, named[i]) || hp_in_use(hp, named[i])) &&
            !same_number(hp_value(&c->a->hp, named[i]), hp_value(hp, named[i])))
            add_hparam(c, note, named[i]);
    if (c->n + c->n_notes == before) add(c, note, AREA_HPARAM, "RoPE frequencies", "other ones", NULL);
}

static void windows(comparison *c)
{
    const uint64_t context = hp_u64(&c->b->hp, SMELT_HP_CTX), layers = hp_u64(&c->b->hp, SMELT_HP_LAYERS);
    if (layers != hp_u64(&c->a->hp, SMELT_HP_LAYERS)) return;
    for (uint64_t l = 0; l < layers; l++) {
        uint64_t found = arch_window(c->a, (int)l), expected = arch_window(c->b, (int)l);
        found = found < context ? found : 0;
        expected = expected < context ? expected : 0;
        if (found == expected) continue;
        /* Families whose GGUF files have no key for it. */
        const bool note = c->a->meta_complete && c->a->arch->block.window == SMELT_HP_LOCAL;
        add(c, note, AREA_HPARAM, arena_printf(&c->r->arena, "sliding window of layer %d", (int)l), number(c, (double)found),
            number(c, (double)expected));
    }
}

static void hparams(comparison *c)
{
    for (int i = 0; i < SMELT_HP_COUNT; i++) {
        const smelt_hp id = (smelt_hp)i;
        if (compared_elsewhere(id) || same_number(hp_effective(c->a, id), hp_effective(c->b, id))) continue;
        add_hparam(c, !hp_in_gguf(id) && id != SMELT_HP_HEAD_DIM && c->a->meta_complete != c->b->meta_complete, id);
    }
    rope(c);
    windows(c);
}

static bool same_str(smelt_str a, smelt_str b) { return a.n == b.n && (!a.n || memcmp(a.p, b.p, a.n) == 0); }
static smelt_str str_of(const char *s) { return (smelt_str){s, s ? strlen(s) : 0}; }

static int32_t type_of(const smelt_vocab *v, size_t i) { return v->type ? v->type[i] : SMELT_TOKEN_NORMAL; }

/* Padding up to the rows of the embedding. */
static bool is_padding(const smelt_vocab *v, size_t i) { return type_of(v, i) == SMELT_TOKEN_UNUSED; }

static void tokens(comparison *c, const smelt_vocab *a, const smelt_vocab *b)
{
    const size_t both = a->n < b->n ? a->n : b->n, all = a->n > b->n ? a->n : b->n;
    size_t texts = 0, types = 0, scores = 0;
    for (size_t i = 0; i < all; i++) {
        const smelt_vocab *longer = i < a->n ? a : b;
        if (i >= both && is_padding(longer, i)) continue;
        const bool text = i >= both || (!same_str(a->text[i], b->text[i]) && !(is_padding(a, i) && is_padding(b, i)));
        if (text) {
            if (texts++ < MOST_TOKENS)
                add(c, false, AREA_VOCABULARY, arena_printf(&c->r->arena, "token %zu", i), i < a->n ? quoted(c, a->text[i]) : NULL,
                    i < b->n ? quoted(c, b->text[i]) : NULL);
            continue;
        }
        if (type_of(a, i) != type_of(b, i) && types++ < MOST_TOKENS)
            add(c, false, AREA_VOCABULARY, arena_printf(&c->r->arena, "type of token %zu", i), number(c, type_of(a, i)),
                number(c, type_of(b, i)));
        if (a->score && b->score && a->score[i] != b->score[i] && scores++ < MOST_TOKENS)
            add(c, false, AREA_VOCABULARY, arena_printf(&c->r->arena, "score of token %zu", i), number(c, (double)a->score[i]),
                number(c, (double)b->score[i]));
    }
    const struct {
        const char *what;
        size_t n;
    } more[] = {{"further tokens", texts}, {"further types of tokens", types}, {"further scores of tokens", scores}};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        if (more[i].n > MOST_TOKENS)
            add(c, false, AREA_VOCABULARY, more[i].what, arena_printf(&c->r->arena, "%zu differ", more[i].n - MOST_TOKENS), NULL);
}

static void merges(comparison *c, const smelt_vocab *a, const smelt_vocab *b)
{
    const size_t both = a->n_merges < b->n_merges ? a->n_merges : b->n_merges;
    if (a->n_merges != b->n_merges)
        add(c, false, AREA_VOCABULARY, "merges", number(c, (double)a->n_merges), number(c, (double)b->n_merges));
    for (size_t i = 0; i < both; i++)
        if (!same_str(a->merges[i], b->merges[i])) {
            add(c, false, AREA_VOCABULARY, arena_printf(&c->r->arena, "merge %zu", i), quoted(c, a->merges[i]),
                quoted(c, b->merges[i]));
            return; /* one that is put in moves all that follow */
        }
}

static void specials(comparison *c, const smelt_vocab *a, const smelt_vocab *b)
{
    static const char *const names[SMELT_SP_COUNT] = {
#define SMELT_SPECIAL(id, hf, gguf, written) hf,
#include "vocab/special.def"
#undef SMELT_SPECIAL
    };
    for (int i = 0; i < SMELT_SP_COUNT; i++) {
        const int64_t x = a->special[i], y = b->special[i];
        if (x != y) add(c, false, AREA_SPECIAL, names[i], x < 0 ? NULL : number(c, (double)x), y < 0 ? NULL : number(c, (double)y));
        const int add_a = a->add_special[i], add_b = b->add_special[i];
        if (add_a >= 0 && add_b >= 0 && add_a != add_b)
            add(c, false, AREA_SPECIAL, arena_printf(&c->r->arena, "%s is added", names[i]), add_a ? "yes" : "no",
                add_b ? "yes" : "no");
    }
}

static void templates(comparison *c, const smelt_vocab *a, const smelt_vocab *b)
{
    for (size_t i = 0; i < b->n_templates; i++) {
        const smelt_template *t = &b->templates[i], *have = NULL;
        const char *name = t->name ? t->name : "default";
        for (size_t k = 0; k < a->n_templates && !have; k++)
            if (same_str(str_of(a->templates[k].name), str_of(t->name))) have = &a->templates[k];
        if (!have || !same_str(have->text, t->text))
            add(c, false, AREA_TEMPLATE, arena_strdup(&c->r->arena, name), have ? quoted(c, have->text) : NULL, quoted(c, t->text));
    }
    for (size_t k = 0; k < a->n_templates; k++) {
        bool known = false;
        for (size_t i = 0; i < b->n_templates; i++)
            known = known || same_str(str_of(a->templates[k].name), str_of(b->templates[i].name));
        const char *name = a->templates[k].name;
        if (!known)
            add(c, false, AREA_TEMPLATE, arena_strdup(&c->r->arena, name ? name : "default"), quoted(c, a->templates[k].text),
                NULL);
    }
}

static void vocabulary(comparison *c)
{
    static const char *const kinds[] = {
        [SMELT_VOCAB_NONE] = "none", [SMELT_VOCAB_BPE] = "byte-level BPE", [SMELT_VOCAB_SPM] = "SentencePiece"};
    const smelt_vocab *a = c->a->vocab, *b = c->b->vocab;
    if (!a && !b) return;
    if (!a || !b) {
        add(c, true, AREA_VOCABULARY, "tokenizer", a ? "there" : NULL, b ? "there" : NULL);
        return;
    }
    if (a->kind != b->kind) {
        add(c, false, AREA_VOCABULARY, "tokenizer", kinds[a->kind], kinds[b->kind]);
        return;
    }
    if (!same_str(str_of(a->pre), str_of(b->pre)))
        add(c, false, AREA_VOCABULARY, "pre-tokenizer", a->pre ? quoted(c, str_of(a->pre)) : NULL,
            b->pre ? quoted(c, str_of(b->pre)) : NULL);
    if (a->add_space_prefix >= 0 && b->add_space_prefix >= 0 && a->add_space_prefix != b->add_space_prefix)
        add(c, false, AREA_VOCABULARY, "space before a text", a->add_space_prefix ? "yes" : "no",
            b->add_space_prefix ? "yes" : "no");
    tokens(c, a, b);
    merges(c, a, b);
    specials(c, a, b);
    templates(c, a, b);
}

smelt_status verify_structure_run(const smelt_ctx *ctx, const smelt_model *candidate, const smelt_model *original, verify_result *r,
                                  smelt_err *err)
{
    comparison c = {.ctx = ctx, .a = candidate, .b = original, .r = r};
    const smelt_arch *a = candidate->arch, *b = original->arch;
    if (a != b && !(a && b && strcmp(a->name, b->name) == 0))
        add(&c, false, AREA_FAMILY, "family", a ? a->name : NULL, b ? b->name : NULL);
    tensors(&c);
    if (a && b) hparams(&c);
    vocabulary(&c);
    verify_difference *all = arena_calloc(&r->arena, c.n + c.n_notes, sizeof *all);
    if (c.failed || !all) return smelt_oom(err);
    if (c.n) memcpy(all, c.list, c.n * sizeof *all);
    if (c.n_notes) memcpy(all + c.n, c.notes, c.n_notes * sizeof *all);
    r->structure.list = all;
    r->structure.n = c.n + c.n_notes;
    r->structure.done = true;
    return SMELT_OK;
}

smelt_status verify_comparable(const smelt_model *a, const smelt_model *b, smelt_err *err)
{
    if (!a->arch || !b->arch)
        return smelt_fail(err, SMELT_E_UNSUPPORTED, "%s is of no family that smelt knows: %s", (a->arch ? b : a)->path,
                          (a->arch ? b : a)->unmapped ? (a->arch ? b : a)->unmapped : "it does not say which");
    if (strcmp(a->arch->name, b->arch->name) != 0)
        return smelt_fail(err, SMELT_E_MISMATCH, "the candidate is of the family %s, the original of %s", a->arch->name,
                          b->arch->name);
    const smelt_vocab *x = a->vocab, *y = b->vocab;
    if (!x || !y) return SMELT_OK;
    if (x->kind != y->kind)
        return smelt_fail(err, SMELT_E_MISMATCH, "the two have tokenizers of different kinds: token ids mean different texts");
    const size_t n = x->n < y->n ? x->n : y->n;
    size_t other = 0, first = 0;
    for (size_t i = 0; i < n; i++)
        if (!same_str(x->text[i], y->text[i]) && other++ == 0) first = i;
    if (other <= n / 2) return SMELT_OK;
    smelt_arena arena = {0};
    const char *found = verify_quote(&arena, x->text[first]), *expected = verify_quote(&arena, y->text[first]);
    const smelt_status st =
        smelt_fail(err, SMELT_E_MISMATCH,
                   "the two have different vocabularies: %zu of %zu tokens are other ones, the first is %zu: %s instead of %s",
                   other, n, first, found ? found : "?", expected ? expected : "?");
    arena_free(&arena);
    return st;
}
