#include "formats/tokenizer_write.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/strmap.h"
#include "formats/spm.h"
#include "vocab/letters.h"
#include "vocab/pretoken.h"

typedef struct write_state {
    const smelt_vocab *v;
    smelt_arena *arena;
    smelt_side_file *files;
    size_t n_files, cap_files;
    const smelt_pretoken *pre;
    smelt_strmap ids; /* tokens that are written; of tokens with the same text the first */
    uint8_t *role;    /* [v->n] */
    size_t n;         /* tokens before the padding at the end */
    smelt_err *err;
} write_state;

/* What becomes of a token. */
enum { ROLE_NONE, ROLE_PIECE, ROLE_ADDED, ROLE_SPECIAL };

static smelt_status add_file(write_state *w, const char *name, smelt_buf *content)
{
    uint8_t *copy = content->failed ? NULL : arena_calloc(w->arena, content->size, 1);
    if (!copy || !arena_room(w->arena, &w->files, w->n_files, &w->cap_files, sizeof *w->files)) return smelt_oom(w->err);
    if (content->size) memcpy(copy, content->data, content->size);
    w->files[w->n_files++] = (smelt_side_file){name, copy, content->size};
    return SMELT_OK;
}

static void put_text(smelt_buf *b, const char *text) { buf_put(b, text, strlen(text)); }

/* A JSON string. The text is UTF-8. */
static void put_str(smelt_buf *b, const char *s, size_t n)
{
    buf_u8(b, '"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\') {
            buf_u8(b, '\\');
            buf_u8(b, c);
        } else if (c < 0x20 || c == 0x7F) {
            buf_printf(b, "\\u%04x", c);
        } else {
            buf_u8(b, c);
        }
    }
    buf_u8(b, '"');
}

static void put_token(smelt_buf *b, const smelt_vocab *v, size_t id) { put_str(b, v->text[id].p, v->text[id].n); }

static int32_t type_of(const smelt_vocab *v, size_t id) { return v->type ? v->type[id] : SMELT_TOKEN_NORMAL; }

/* What fills a vocabulary up to the rows of the embedding. */
static bool is_padding(const smelt_vocab *v, size_t id)
{
    smelt_str s = v->text[id];
    return type_of(v, id) == SMELT_TOKEN_UNUSED && s.n > 4 && memcmp(s.p, "[PAD", 4) == 0;
}

/* Sets the roles by type and finds tokens by text. */
static smelt_status sort_tokens(write_state *w)
{
    const smelt_vocab *v = w->v;
    w->n = v->n;
    while (w->n > 0 && is_padding(v, w->n - 1))
        w->n--;
    w->role = arena_calloc(w->arena, v->n, 1);
    if (!w->role) return smelt_oom(w->err);
    for (size_t i = 0; i < w->n; i++) {
        smelt_str s = v->text[i];
        bool fresh;
        if (!utf8_valid(s.p, s.n))
            return smelt_fail(w->err, SMELT_E_CORRUPT, "token %zu is not UTF-8 and cannot be written as JSON", i);
        if (!s.n) continue;
        if (!strmap_add(&w->ids, s.p, s.n, i, &fresh)) return smelt_oom(w->err);
        if (!fresh) continue;
        int32_t type = type_of(v, i);
        if (type == SMELT_TOKEN_UNUSED) continue;
        bool special = type == SMELT_TOKEN_CONTROL || type == SMELT_TOKEN_UNKNOWN;
        w->role[i] = special ? ROLE_SPECIAL : type == SMELT_TOKEN_USER ? ROLE_ADDED : ROLE_PIECE;
    }
    return SMELT_OK;
}

/* A byte-level token's text that is written in the alphabet's own letters was never decoded, as only those are that are matched
 * before normalisation. */
static bool is_spelled(const smelt_vocab *v, size_t id)
{
    smelt_str s = v->text[id];
    bool beyond_ascii = false;
    for (size_t i = 0, len; i < s.n; i += len) {
        uint32_t c = utf8_next(s.p + i, &len);
        if (byte_of_letter(c) < 0) return false;
        beyond_ascii = beyond_ascii || c > 0x7F;
    }
    return beyond_ascii && v->kind == SMELT_VOCAB_BPE;
}

static void put_added_tokens(write_state *w, smelt_buf *b)
{
    const char *comma = "";
    put_text(b, "  \"added_tokens\": [");
    for (size_t i = 0; i < w->n; i++) {
        if (w->role[i] < ROLE_ADDED) continue;
        buf_printf(b, "%s\n    {\"id\": %zu, \"content\": ", comma, i);
        put_token(b, w->v, i);
        buf_printf(b, ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": %s, \"special\": %s}",
                   is_spelled(w->v, i) ? "true" : "false", w->role[i] == ROLE_SPECIAL ? "true" : "false");
        comma = ",";
    }
    put_text(b, "\n  ],\n");
}

/* The ids behind the last piece may belong to added tokens alone if the tokenizers library counts the same ids for them. */
static void put_vocab(write_state *w, smelt_buf *b)
{
    size_t own = 0, pieces = 0;
    for (size_t i = 0; i < w->n; i++)
        if (w->role[i] == ROLE_PIECE) own = i + 1;
    bool whole = true;
    for (size_t i = 0; i < w->n; i++)
        whole = whole && w->role[i] != ROLE_NONE;
    if (!whole) own = w->n;
    put_text(b, "    \"vocab\": {");
    for (size_t i = 0; i < own; i++) {
        if (w->role[i] == ROLE_NONE) continue;
        put_text(b, pieces++ ? ",\n      " : "\n      ");
        put_token(b, w->v, i);
        buf_printf(b, ": %zu", i);
    }
    put_text(b, "\n    },\n");
}

static void put_template_part(smelt_buf *b, write_state *w, const char **comma, int64_t token, const char *sequence, int type_id)
{
    put_text(b, *comma);
    *comma = ", ";
    if (token >= 0) {
        put_text(b, "{\"SpecialToken\": {\"id\": ");
        put_token(b, w->v, (size_t)token);
    } else {
        buf_printf(b, "{\"Sequence\": {\"id\": \"%s\"", sequence);
    }
    buf_printf(b, ", \"type_id\": %d}}", type_id);
}

/* What encoding puts around text. Where nothing is said of a separator, none stands in a pair. */
static void put_post_processor(write_state *w, smelt_buf *b)
{
    const smelt_vocab *v = w->v;
    int64_t part[SMELT_SP_COUNT];
    for (int i = 0; i < SMELT_SP_COUNT; i++)
        part[i] = v->add_special[i] == 1 && v->special[i] >= 0 && w->role[v->special[i]] == ROLE_SPECIAL ? v->special[i] : -1;
    int64_t bos = part[SMELT_SP_BOS], eos = part[SMELT_SP_EOS], sep = part[SMELT_SP_SEP];
    if (sep < 0 && v->add_special[SMELT_SP_SEP] == 1) sep = eos;
    if (sep < 0 && v->add_special[SMELT_SP_SEP] == 0) sep = bos;
    const char *comma = "";
    /* ByteLevel here moves offsets only; it also says of bos and eos that there is a rule. */
    bool framed = v->kind == SMELT_VOCAB_BPE && v->add_special[SMELT_SP_BOS] >= 0 && v->add_special[SMELT_SP_EOS] >= 0;
    put_text(b, "  \"post_processor\": ");
    if (framed)
        put_text(b, "{\"type\": \"Sequence\", \"processors\": [\n    {\"type\": \"ByteLevel\", \"add_prefix_space\": true, "
                    "\"trim_offsets\": false, \"use_regex\": true},\n    ");
    put_text(b, "{\n    \"type\": \"TemplateProcessing\",\n    \"single\": [");
    if (bos >= 0) put_template_part(b, w, &comma, bos, NULL, 0);
    put_template_part(b, w, &comma, -1, "A", 0);
    if (eos >= 0) put_template_part(b, w, &comma, eos, NULL, 0);
    put_text(b, "],\n    \"pair\": [");
    comma = "";
    if (bos >= 0) put_template_part(b, w, &comma, bos, NULL, 0);
    put_template_part(b, w, &comma, -1, "A", 0);
    if (sep >= 0) put_template_part(b, w, &comma, sep, NULL, 1);
    put_template_part(b, w, &comma, -1, "B", 1);
    if (eos >= 0) put_template_part(b, w, &comma, eos, NULL, 1);
    put_text(b, "],\n    \"special_tokens\": {");
    int64_t used[] = {bos, eos, sep};
    comma = "";
    for (int i = 0; i < 3; i++) {
        if (used[i] < 0 || (i > 0 && used[i] == used[0]) || (i > 1 && used[i] == used[1])) continue;
        put_text(b, comma);
        put_token(b, v, (size_t)used[i]);
        put_text(b, ": {\"id\": ");
        put_token(b, v, (size_t)used[i]);
        buf_printf(b, ", \"ids\": [%" PRId64 "], \"tokens\": [", used[i]);
        put_token(b, v, (size_t)used[i]);
        put_text(b, "]}");
        comma = ", ";
    }
    put_text(b, framed ? "}\n  }]},\n" : "}\n  },\n");
}

static void put_split(smelt_buf *b, const char *regex, size_t n, const char *behavior, size_t nb)
{
    put_text(b, "{\"type\": \"Split\", \"pattern\": {\"Regex\": ");
    put_str(b, regex, n);
    put_text(b, "}, \"behavior\": ");
    put_str(b, behavior, nb);
    put_text(b, ", \"invert\": false}");
}

/* One line of pretoken.def. */
static void put_step(smelt_buf *b, const char *p, size_t n)
{
    static const struct {
        const char *step, *json;
    } plain[] = {
        {"gpt2", "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": true}"},
        {"bytes", "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": false}"},
        {"digits", "{\"type\": \"Digits\", \"individual_digits\": true}"},
        {"digit-runs", "{\"type\": \"Digits\", \"individual_digits\": false}"},
        {"punctuation", "{\"type\": \"Punctuation\", \"behavior\": \"Contiguous\"}"},
    };
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (strlen(plain[i].step) == n && memcmp(plain[i].step, p, n) == 0) {
            put_text(b, plain[i].json);
            return;
        }
    if (p[5] == ' ') {
        put_split(b, p + 6, n - 6, "Isolated", 8);
    } else {
        const char *end = memchr(p, ')', n);
        put_split(b, end + 2, n - (size_t)(end + 2 - p), p + 6, (size_t)(end - p) - 6);
    }
}

static void put_pre_tokenizer(write_state *w, smelt_buf *b)
{
    const char *steps = pretoken_steps(w->pre);
    bool many = strchr(steps, '\n') != NULL;
    buf_printf(b, "  \"normalizer\": %s,\n", *w->pre->normalizer ? "{\"type\": \"NFC\"}" : "null");
    put_text(b, "  \"pre_tokenizer\": ");
    if (many) put_text(b, "{\"type\": \"Sequence\", \"pretokenizers\": [\n    ");
    for (const char *p = steps; *p;) {
        size_t n = strcspn(p, "\n");
        put_step(b, p, n);
        p += n;
        if (*p) {
            put_text(b, ",\n    ");
            p++;
        }
    }
    put_text(b, many ? "\n  ]},\n" : ",\n");
}

static smelt_status put_merges(write_state *w, smelt_buf *b)
{
    const smelt_vocab *v = w->v;
    char *both = NULL;
    size_t room = 0, at;
    put_text(b, "    \"merges\": [");
    for (size_t i = 0; i < v->n_merges; i++) {
        smelt_str m = v->merges[i];
        const char *space = m.n ? memchr(m.p, ' ', m.n) : NULL;
        size_t left = space ? (size_t)(space - m.p) : 0;
        if (m.n > room) {
            room = m.n * 2;
            both = arena_calloc(w->arena, room, 1);
            if (!both) return smelt_oom(w->err);
        }
        bool known = left > 0 && left + 1 < m.n && strmap_get(&w->ids, m.p, left, &at) &&
                     strmap_get(&w->ids, space + 1, m.n - left - 1, &at);
        if (known) {
            memcpy(both, m.p, left);
            memcpy(both + left, space + 1, m.n - left - 1);
            known = strmap_get(&w->ids, both, m.n - 1, &at);
        }
        if (!known)
            return smelt_fail(w->err, SMELT_E_CORRUPT,
                              "merge %zu is not two tokens that make a third: the vocabulary cannot be written", i);
        put_text(b, i ? ",\n      " : "\n      ");
        put_str(b, m.p, m.n);
    }
    put_text(b, "\n    ]\n");
    return SMELT_OK;
}

static smelt_status write_bpe(write_state *w)
{
    smelt_buf b = {0};
    put_text(&b, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n");
    put_added_tokens(w, &b);
    put_pre_tokenizer(w, &b);
    put_post_processor(w, &b);
    put_text(
        &b, "  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": true, \"use_regex\": true},\n");
    buf_printf(&b,
               "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n"
               "    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n    \"fuse_unk\": false,\n"
               "    \"byte_fallback\": false,\n    \"ignore_merges\": %s,\n",
               w->pre->ignore_merges ? "true" : "false");
    put_vocab(w, &b);
    smelt_status st = put_merges(w, &b);
    put_text(&b, "  }\n}\n");
    if (st == SMELT_OK) st = add_file(w, "tokenizer.json", &b);
    buf_free(&b);
    return st;
}

/* A way to build a piece from two others. */
typedef struct spm_merge {
    float score;
    uint32_t piece, left_chars, right_chars, left_bytes;
} spm_merge;

static int by_rank(const void *pa, const void *pb)
{
    const spm_merge *a = pa, *b = pb;
    if (a->score != b->score) return a->score < b->score ? 1 : -1;
    if (a->piece != b->piece) return a->piece < b->piece ? -1 : 1;
    return (a->left_chars > b->left_chars) - (a->left_chars < b->left_chars);
}

static bool is_start(char c) { return ((unsigned char)c & 0xC0) != 0x80; }

static float rank_of(const write_state *w, size_t id, bool scored) { return scored ? w->v->score[id] : -(float)id; }

/* Every split of every piece into two pieces, best score first; a piece of several characters without one was never built by
 * merging, so that it is a symbol of the user's. */
static smelt_status derive_merges(write_state *w, bool scored, spm_merge **out, size_t *n)
{
    enum { LONGEST = 1024 };
    size_t capacity = 0;
    *out = NULL;
    *n = 0;
    for (size_t id = 0; id < w->n; id++) {
        smelt_str s = w->v->text[id];
        if (w->role[id] != ROLE_PIECE || type_of(w->v, id) != SMELT_TOKEN_NORMAL || s.n > LONGEST) continue;
        size_t before = *n;
        uint32_t chars = 0, at_char = 0;
        for (size_t i = 0; i < s.n; i++)
            chars += is_start(s.p[i]);
        for (size_t i = 1; i < s.n; i++) {
            size_t left, right;
            if (!is_start(s.p[i])) continue;
            at_char++;
            if (!strmap_get(&w->ids, s.p, i, &left) || !strmap_get(&w->ids, s.p + i, s.n - i, &right) ||
                w->role[left] != ROLE_PIECE || w->role[right] != ROLE_PIECE)
                continue;
            if (!arena_room(w->arena, out, *n, &capacity, sizeof **out)) return smelt_oom(w->err);
            (*out)[(*n)++] = (spm_merge){rank_of(w, id, scored), (uint32_t)id, at_char, chars - at_char, (uint32_t)i};
        }
        if (chars > 1 && *n == before) w->role[id] = ROLE_ADDED;
    }
    if (*n) qsort(*out, *n, sizeof **out, by_rank);
    return SMELT_OK;
}

static smelt_status write_spm_json(write_state *w, const spm_merge *merges, size_t n_merges, int64_t unk, bool bytes)
{
    const smelt_vocab *v = w->v;
    bool prefix = v->add_space_prefix != 0;
    smelt_buf b = {0};
    put_text(&b, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n");
    put_added_tokens(w, &b);
    buf_printf(&b,
               "  \"normalizer\": null,\n  \"pre_tokenizer\": {\"type\": \"Metaspace\", \"replacement\": \"\xE2\x96\x81\", "
               "\"prepend_scheme\": \"%s\", \"split\": false},\n",
               prefix ? "first" : "never");
    put_post_processor(w, &b);
    put_text(&b, "  \"decoder\": {\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Replace\", \"pattern\": {\"String\": "
                 "\"\xE2\x96\x81\"}, \"content\": \" \"}, {\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"}");
    if (prefix) put_text(&b, ", {\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}");
    put_text(&b, "]},\n  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": ");
    if (unk >= 0)
        put_token(&b, v, (size_t)unk);
    else
        put_text(&b, "null");
    buf_printf(&b,
               ",\n    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n    \"fuse_unk\": true,\n"
               "    \"byte_fallback\": %s,\n    \"ignore_merges\": false,\n",
               bytes ? "true" : "false");
    put_vocab(w, &b);
    put_text(&b, "    \"merges\": [");
    for (size_t i = 0; i < n_merges; i++) {
        smelt_str s = v->text[merges[i].piece];
        size_t left = merges[i].left_bytes;
        put_text(&b, i ? ",\n      [" : "\n      [");
        put_str(&b, s.p, left);
        put_text(&b, ", ");
        put_str(&b, s.p + left, s.n - left);
        buf_u8(&b, ']');
    }
    put_text(&b, "\n    ]\n  }\n}\n");
    smelt_status st = add_file(w, "tokenizer.json", &b);
    buf_free(&b);
    return st;
}

/* User's symbols with spaces as SentencePiece spells them. */
static smelt_status spell_spaces(write_state *w, smelt_str *s)
{
    smelt_buf b = {0};
    for (size_t i = 0; i < s->n; i++)
        if (s->p[i] == ' ')
            buf_put(&b, "\xE2\x96\x81", 3);
        else
            buf_u8(&b, (uint8_t)s->p[i]);
    s->p = b.failed ? NULL : arena_strndup(w->arena, (const char *)b.data, b.size);
    s->n = b.size;
    buf_free(&b);
    return s->p ? SMELT_OK : smelt_oom(w->err);
}

static smelt_status write_spm_model(write_state *w, int64_t unk, bool scored, bool bytes)
{
    const smelt_vocab *v = w->v;
    smelt_strmap seen = {.arena = w->arena};
    spm_piece *pieces = arena_calloc(w->arena, w->n, sizeof *pieces);
    if (!pieces) return smelt_oom(w->err);
    for (size_t i = 0; i < w->n; i++) {
        int32_t type = type_of(v, i);
        bool fresh = false;
        spm_piece *p = &pieces[i];
        *p = (spm_piece){v->text[i], scored ? v->score[i] : type == SMELT_TOKEN_NORMAL ? rank_of(w, i, false) : 0.0f, type};
        if (w->role[i] == ROLE_ADDED) p->type = SPM_USER_DEFINED;
        if (p->type == SPM_UNKNOWN && unk != (int64_t)i) p->type = SPM_CONTROL;
        if (unk == (int64_t)i) p->type = SPM_UNKNOWN;
        if (p->type < SPM_NORMAL || p->type > SPM_BYTE) p->type = SPM_UNUSED;
        if (p->type == SPM_USER_DEFINED) SMELT_TRY(spell_spaces(w, &p->text));
        if (p->text.n && !strmap_add(&seen, p->text.p, p->text.n, i, &fresh)) return smelt_oom(w->err);
        if (!fresh) { /* a piece of its own all the same: ids are positions */
            char *name = arena_printf(w->arena, "[DUPLICATE%zu]", i);
            if (!name || !strmap_add(&seen, name, strlen(name), i, &fresh)) return smelt_oom(w->err);
            if (!fresh) return smelt_fail(w->err, SMELT_E_CORRUPT, "token %zu repeats another one", i);
            p->text = (smelt_str){name, strlen(name)};
            p->type = SPM_UNUSED;
        }
    }
    spm_model m = {
        .n = w->n,
        .pieces = pieces,
        .model_type = SPM_BPE,
        .byte_fallback = bytes,
        .add_dummy_prefix = v->add_space_prefix != 0,
        .unk_id = (int32_t)unk,
        .bos_id = (int32_t)v->special[SMELT_SP_BOS],
        .eos_id = (int32_t)v->special[SMELT_SP_EOS],
        .pad_id = (int32_t)v->special[SMELT_SP_PAD],
    };
    smelt_buf b = {0};
    spm_write(&b, &m);
    smelt_status st = add_file(w, "tokenizer.model", &b);
    buf_free(&b);
    return st;
}

/* Tokens that readers of tokenizer.model alone would not take for added ones. */
static smelt_status write_added_json(write_state *w)
{
    smelt_buf b = {0};
    const char *comma = "";
    put_text(&b, "{");
    for (size_t i = 0; i < w->n; i++) {
        if (type_of(w->v, i) != SMELT_TOKEN_USER || w->role[i] == ROLE_NONE) continue;
        buf_printf(&b, "%s\n  ", comma);
        put_token(&b, w->v, i);
        buf_printf(&b, ": %zu", i);
        comma = ",";
    }
    put_text(&b, "\n}\n");
    smelt_status st = *comma ? add_file(w, "added_tokens.json", &b) : SMELT_OK;
    buf_free(&b);
    return st;
}

static smelt_status write_spm(write_state *w)
{
    const smelt_vocab *v = w->v;
    int64_t unk = v->special[SMELT_SP_UNK] < (int64_t)w->n ? v->special[SMELT_SP_UNK] : -1;
    size_t at;
    bool bytes = false, scored = false;
    for (size_t i = 0; i < w->n; i++) {
        bytes = bytes || type_of(v, i) == SMELT_TOKEN_BYTE;
        if (unk < 0 && type_of(v, i) == SMELT_TOKEN_UNKNOWN) unk = (int64_t)i;
        /* One score for all says nothing of their order. */
        if (v->score && i && type_of(v, i) == SMELT_TOKEN_NORMAL && v->score[i] != v->score[i - 1]) scored = true;
        if (v->score && v->score[i] != v->score[i])
            return smelt_fail(w->err, SMELT_E_CORRUPT, "token %zu has a score that is not a number", i);
    }
    if (unk < 0 && strmap_get(&w->ids, "<unk>", 5, &at)) unk = (int64_t)at;
    if (unk >= 0 && w->role[unk] == ROLE_NONE) unk = -1;
    if (unk >= 0) w->role[unk] = ROLE_SPECIAL;
    spm_merge *merges;
    size_t n_merges;
    SMELT_TRY(derive_merges(w, scored, &merges, &n_merges));
    SMELT_TRY(write_spm_json(w, merges, n_merges, unk, bytes));
    SMELT_TRY(write_spm_model(w, unk, scored, bytes));
    return write_added_json(w);
}

static const char *const stems[SMELT_SP_COUNT] = {
#define SMELT_SPECIAL(id, hf, gguf, written) [SMELT_SP_##id] = (hf),
#include "vocab/special.def"
#undef SMELT_SPECIAL
};

static smelt_status write_config(write_state *w)
{
    const smelt_vocab *v = w->v;
    smelt_buf b = {0};
    const char *class = v->kind == SMELT_VOCAB_SPM ? "LlamaTokenizer" : "PreTrainedTokenizerFast";
    buf_printf(&b, "{\n  \"tokenizer_class\": \"%s\",\n  \"clean_up_tokenization_spaces\": false", class);
    for (int i = 0; i < SMELT_SP_COUNT; i++) {
        if (v->add_special[i] >= 0) buf_printf(&b, ",\n  \"add_%s_token\": %s", stems[i], v->add_special[i] ? "true" : "false");
        /* Naming a token makes it a special one: an id that only says which of the ordinary tokens it is stays in config.json. */
        if (v->special[i] < 0 || w->role[v->special[i]] < ROLE_ADDED) continue;
        buf_printf(&b, ",\n  \"%s_token\": ", stems[i]);
        put_token(&b, v, (size_t)v->special[i]);
    }
    if (v->add_space_prefix >= 0) buf_printf(&b, ",\n  \"add_prefix_space\": %s", v->add_space_prefix ? "true" : "false");
    if (v->kind == SMELT_VOCAB_SPM) put_text(&b, ",\n  \"legacy\": false");
    /* Named templates without a default one have no file. */
    if (v->n_templates && v->templates[0].name) {
        put_text(&b, ",\n  \"chat_template\": [");
        for (size_t i = 0; i < v->n_templates; i++) {
            put_text(&b, i ? ",\n    {\"name\": " : "\n    {\"name\": ");
            put_str(&b, v->templates[i].name, strlen(v->templates[i].name));
            put_text(&b, ", \"template\": ");
            put_str(&b, v->templates[i].text.p, v->templates[i].text.n);
            buf_u8(&b, '}');
        }
        put_text(&b, "\n  ]");
    }
    put_text(&b, "\n}\n");
    smelt_status st = add_file(w, "tokenizer_config.json", &b);
    buf_free(&b);
    return st;
}

static bool plain_name(const char *s)
{
    for (; *s; s++)
        if (!((*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || *s == '_' || *s == '-'))
            return false;
    return true;
}

static smelt_status write_templates(write_state *w)
{
    const smelt_vocab *v = w->v;
    for (size_t i = 0; i < v->n_templates; i++) {
        const smelt_template *t = &v->templates[i];
        if (!utf8_valid(t->text.p, t->text.n)) return smelt_fail(w->err, SMELT_E_CORRUPT, "a chat template is not UTF-8");
        if (t->name && !plain_name(t->name))
            return smelt_fail(w->err, SMELT_E_CORRUPT, "the chat template's name '%.60s' cannot be a file's", t->name);
        if (v->templates[0].name) continue;
        const char *name = t->name ? arena_printf(w->arena, "additional_chat_templates/%s.jinja", t->name) : "chat_template.jinja";
        smelt_buf b = {0};
        buf_put(&b, t->text.p, t->text.n);
        smelt_status st = name ? add_file(w, name, &b) : smelt_oom(w->err);
        buf_free(&b);
        SMELT_TRY(st);
    }
    return SMELT_OK;
}

static smelt_status write_generation(write_state *w)
{
    const int64_t *id = w->v->special;
    smelt_buf b = {0};
    const char *comma = "";
    put_text(&b, "{");
    for (int i = 0; i < SMELT_SP_COUNT; i++) {
        if (i != SMELT_SP_BOS && i != SMELT_SP_EOS && i != SMELT_SP_PAD) continue;
        if (id[i] < 0) continue;
        buf_printf(&b, "%s\n  \"%s_token_id\": ", comma, stems[i]);
        comma = ",";
        /* All that end an answer. */
        bool eot = id[SMELT_SP_EOT] >= 0 && id[SMELT_SP_EOT] != id[i], eom = id[SMELT_SP_EOM] >= 0 && id[SMELT_SP_EOM] != id[i];
        if (i != SMELT_SP_EOS || !(eot || eom)) {
            buf_printf(&b, "%" PRId64, id[i]);
            continue;
        }
        buf_printf(&b, "[%" PRId64, id[i]);
        if (eot) buf_printf(&b, ", %" PRId64, id[SMELT_SP_EOT]);
        if (eom) buf_printf(&b, ", %" PRId64, id[SMELT_SP_EOM]);
        buf_u8(&b, ']');
    }
    put_text(&b, "\n}\n");
    smelt_status st = *comma ? add_file(w, "generation_config.json", &b) : SMELT_OK;
    buf_free(&b);
    return st;
}

smelt_status hf_vocab_write(const smelt_ctx *ctx, const smelt_model *model, smelt_arena *arena, smelt_side_file **files, size_t *n,
                            smelt_err *err)
{
    const smelt_vocab *v = model->vocab;
    write_state w = {.v = v, .arena = arena, .ids.arena = arena, .err = err};
    *files = NULL;
    *n = 0;
    if (!v || v->kind == SMELT_VOCAB_NONE) return SMELT_OK;
    if (v->kind == SMELT_VOCAB_BPE) {
        const char *name = ctx->pre_tokenizer ? ctx->pre_tokenizer : v->pre ? v->pre : "default";
        w.pre = pretoken_find(name);
        if (!w.pre && ctx->pre_tokenizer) return pretoken_unknown(name, err);
        if (!w.pre || !pretoken_steps(w.pre))
            return smelt_fail(
                err, SMELT_E_UNSUPPORTED,
                "how the pre-tokenizer '%s' cuts text is not known, so no tokenizer.json can be written; --pre NAME names "
                "another one",
                name);
    }
    SMELT_TRY(sort_tokens(&w));
    SMELT_TRY(v->kind == SMELT_VOCAB_BPE ? write_bpe(&w) : write_spm(&w));
    SMELT_TRY(write_config(&w));
    SMELT_TRY(write_templates(&w));
    SMELT_TRY(write_generation(&w));
    *files = w.files;
    *n = w.n_files;
    return SMELT_OK;
}
