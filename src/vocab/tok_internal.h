/* The parts of a tokenizer, for the files that make it up. */
#ifndef SMELT_VOCAB_TOK_INTERNAL_H
#define SMELT_VOCAB_TOK_INTERNAL_H

#include "base/strmap.h"
#include "vocab/letters.h"
#include "vocab/tokenizer.h"

/* ---- unicode.c ---- */

/* Length of the character at p if it is well-formed, 0 if it is not; n > 0 bytes are there. */
size_t utf8_char(const char *p, size_t n);
/* Start of the character that ends before p + at. */
size_t utf8_before(const char *p, size_t at);
void utf8_put(smelt_buf *out, uint32_t c);
bool uni_space(uint32_t c); /* White_Space */
bool uni_word(uint32_t c);  /* \w: alphabetic, marks, decimal digits, connectors, joiners */
/* A mark without a combining class, since it is younger than what the `tokenizers` package normalises by. */
bool uni_young_mark(uint32_t c);
/* Ranges of characters whose category, or group of categories ("L", "Lu"), came with Unicode 15 and 16, appended as the inside of
 * a class: the regular expression library may be older. */
void uni_new_ranges(smelt_buf *out, const char *category, size_t n);

/* ---- keys.c: a set of texts with values, searched for the longest one at a place ---- */

typedef struct tok_key {
    const char *p;
    uint32_t n;
    int32_t value;
} tok_key;

typedef struct tok_keys {
    tok_key *key; /* sorted by bytes */
    size_t n;
    uint32_t first[257]; /* keys that begin with byte b are [first[b], first[b + 1]) */
    uint32_t *second;    /* the same by two bytes, for large sets; NULL: none */
} tok_keys;

/* Sorts and indexes keys that are all different and not empty. */
bool keys_build(smelt_arena *arena, tok_keys *keys, tok_key *key, size_t n);
/* Walks down the keys that are prefixes of a text: {0} to start; false when there are no more. */
typedef struct keys_walk {
    size_t lo, hi, depth;
} keys_walk;
bool keys_next(const tok_keys *keys, keys_walk *walk, const char *text, size_t n, const tok_key **out);
/* The longest key at the start of the text; NULL: none. */
const tok_key *keys_longest(const tok_keys *keys, const char *text, size_t n);

/* ---- regex.c ---- */

typedef struct tok_regex tok_regex;
typedef struct tok_matcher tok_matcher; /* of one thread */

/* Compiles a pattern in Oniguruma's syntax, as tokenizer.json has it. NEW: regex_free. */
smelt_status regex_new(const char *pattern, size_t n, tok_regex **out, smelt_err *err);
void regex_free(tok_regex *re);
tok_matcher *matcher_new(void); /* NULL when out of memory */
void matcher_free(tok_matcher *m);
/* The first match at or behind `at`; false if there is none or *st is not OK. */
bool regex_find(const tok_regex *re, tok_matcher *m, const char *text, size_t n, size_t at, size_t *start, size_t *end,
                smelt_status *st, smelt_err *err);

/* ---- the compiled tokenizer ---- */

typedef struct tok_pair {
    uint64_t key; /* left << 32 | right; PAIR_FREE: none */
    uint32_t rank, id;
} tok_pair;

enum { NO_SYMBOL = -1 };

typedef struct tok_stage {
    smelt_tok_step step;
    tok_regex *re; /* of SPLIT_RE, REPLACE_RE, BYTES with its pattern, PUNCTUATION, DIGITS, WHITESPACE */
} tok_stage;

typedef struct tok_stages {
    tok_stage *stage;
    size_t n;
} tok_stages;

typedef struct tok_added_set {
    tok_keys keys; /* value: index of the added token */
    bool any;
} tok_added_set;

struct smelt_tok {
    smelt_arena arena;
    smelt_tok_desc d;
    bool bytes;           /* pieces are raw bytes, and the tokens are spelled in the byte-level alphabet */
    bool letters;         /* pieces are text in that alphabet, which steps behind it have cut */
    smelt_strmap ids;     /* text of the model's tokens (raw bytes with `bytes`) to id */
    smelt_str *raw;       /* [n] the key in `ids`; p is NULL if there is none */
    int32_t byte_id[256]; /* with `bytes`: token of one byte; else of <0xNN>; -1 */
    bool all_byte_ids;
    int32_t *bmp;       /* [65536] symbol of a character, or -1; NULL with `bytes` */
    smelt_strmap chars; /* symbols of the other characters */
    uint32_t n_symbols; /* tokens, and then characters that are none but take part in merges */
    tok_pair *pairs;
    uint64_t pair_mask;
    bool cut_words;  /* no token goes on from another character into U+2581: words may be encoded one by one */
    uint64_t *split; /* [n] of SCORES: how an unused token came to be, when there are any; NULL */
    tok_keys user;   /* tokens that are taken whole before merging */
    bool any_user;
    tok_keys pieces; /* UNIGRAM: all tokens that may be used */
    double unk_score;
    tok_added_set raw_added, norm_added; /* found before and after normalising */
    bool *special;                       /* [n] */
    smelt_str *added_text;               /* [n] text of added tokens, p NULL for others */
    tok_stages norm, pre;
};

typedef struct tok_piece {
    uint32_t at, n;
} tok_piece;

enum { CACHE_KEY = 28, CACHE_IDS = 8, CACHE_SLOTS = 1 << 15 };
typedef struct tok_cached {
    char key[CACHE_KEY]; /* zeros behind the text */
    uint16_t n, n_ids;   /* n = 0: free */
    int32_t id[CACHE_IDS];
} tok_cached;

struct smelt_tok_state {
    const smelt_tok *tok;
    tok_matcher *matcher;
    smelt_buf text[2]; /* normalised text; [0] is the current one */
    smelt_buf clean;   /* input with U+FFFD for what is not UTF-8 */
    smelt_buf piece[2];
    smelt_buf match;
    smelt_buf symbols, heap, path;
    smelt_buf unused; /* [n] uint64_t, if the tokenizer has any */
    tok_cached *cache;
    smelt_arena arena; /* of the cache */
    const char *cur;   /* current text and its size */
    size_t n;
    size_t most;       /* bytes that steps may make of the text */
    bool at_start;     /* the stretch begins where the text begins */
    bool behind_added; /* ... or behind an added token */
    bool last_unk;     /* the last id that this stretch gave is unk */
};

/* normalize.c: runs the steps over s->cur. */
smelt_status tok_normalize(const tok_stages *stages, smelt_tok_state *s, smelt_err *err);
/* A buffer to write the next text into, empty; tok_text_done makes it the current one. E_LIMIT when it grows beyond s->most: who
 * writes in a loop may stop there. */
smelt_buf *tok_text_next(smelt_tok_state *s);
smelt_status tok_text_done(smelt_tok_state *s, smelt_err *err);

/* split.c: cuts s->cur into s->piece[0], an array of tok_piece. */
smelt_status tok_split(const smelt_tok *t, smelt_tok_state *s, smelt_err *err);
/* The pattern that a step needs; NULL: none. */
smelt_status tok_stage_compile(tok_stage *g, smelt_err *err);
smelt_status tok_stages_compile(smelt_arena *arena, const smelt_tok_steps *steps, tok_stages *out, smelt_err *err);

/* bpe.c */
smelt_status bpe_build(smelt_tok *t, smelt_err *err);
smelt_status bpe_encode(const smelt_tok *t, smelt_tok_state *s, const char *p, size_t n, smelt_buf *ids, smelt_err *err);
/* unigram.c */
smelt_status unigram_build(smelt_tok *t, smelt_err *err);
smelt_status unigram_encode(const smelt_tok *t, smelt_tok_state *s, const char *p, size_t n, smelt_buf *ids, smelt_err *err);
/* Appends one id; runs of unk become one when `fuse`. */
void tok_put(const smelt_tok *t, smelt_tok_state *s, int64_t id, bool fuse, smelt_buf *ids);
/* What stands for text that has no token: its bytes, or unk. */
void tok_put_unknown(const smelt_tok *t, smelt_tok_state *s, const char *p, size_t n, smelt_buf *ids);
/* Symbol of the character at p; NO_SYMBOL if it has none. */
int32_t tok_char_symbol(const smelt_tok *t, const char *p, size_t len);

static inline uint64_t pair_hash(uint64_t key)
{
    key *= 0x9E3779B97F4A7C15U;
    return key ^ key >> 29;
}
#define PAIR_FREE UINT64_MAX

#endif
