/* Text to token ids and back.
 *
 * A tokenizer is made from a description that the formats fill (tokenizer.json, SentencePiece models, tiktoken files, GGUF
 * metadata) and never changes afterwards: any number of threads may encode with it, each with a state of its own.
 *
 * The way of a text: added tokens are found and cut out; each stretch between them is normalised, cut into pieces, and each
 * piece becomes tokens. Ids are those of the `tokenizers` package for a tokenizer.json and those of `sentencepiece` for a
 * tokenizer.model, also where these depend on details such as Unicode 16's character classes.
 *
 * Bytes that are not UTF-8: a byte-level tokenizer encodes them as the bytes that they are, in a piece of their own for each run,
 * so that decoding gives them back; any other tokenizer reads each of them as U+FFFD, as sentencepiece does (which, other than
 * here when there are added tokens, does not normalise these). */
#ifndef SMELT_VOCAB_TOKENIZER_H
#define SMELT_VOCAB_TOKENIZER_H

#include "base/bytes.h"
#include "ir/meta.h"
#include "vocab/vocab.h"

typedef enum smelt_tok_model {
    SMELT_TOK_MERGES,  /* byte pair encoding by a list of merges */
    SMELT_TOK_SCORES,  /* byte pair encoding: the two neighbours whose joined text is the token with the best score */
    SMELT_TOK_UNIGRAM, /* the path of the best sum of scores */
} smelt_tok_model;

/* Steps of the normaliser, the pre-tokenizer and the decoder, named as in tokenizer.json. */
typedef enum smelt_tok_op {
    /* normaliser */
    SMELT_TOK_NFC,
    SMELT_TOK_NFD,
    SMELT_TOK_NFKC,
    SMELT_TOK_NFKD,
    SMELT_TOK_LOWERCASE,
    SMELT_TOK_STRIP_ACCENTS,
    SMELT_TOK_PREPEND,      /* a, if there is text */
    SMELT_TOK_REPLACE,      /* a by b */
    SMELT_TOK_REPLACE_RE,   /* what the pattern a matches by b */
    SMELT_TOK_STRIP,        /* white space: x left, y right */
    SMELT_TOK_SENTENCE,     /* SentencePiece: charmap a; x: collapse spaces, y: add a space, behind the text if m, only
                             * where the text begins if n */
    SMELT_TOK_PREPEND_TEXT, /* a, but only when the text begins here or behind an added token, as GGUF's readers do */
    /* pre-tokenizer */
    SMELT_TOK_BYTES,       /* ByteLevel: x add_prefix_space, y use_regex */
    SMELT_TOK_SPLIT,       /* at the text a: behavior, x invert */
    SMELT_TOK_SPLIT_RE,    /* at the pattern a: the same */
    SMELT_TOK_DIGITS,      /* x individual_digits */
    SMELT_TOK_PUNCTUATION, /* behavior */
    SMELT_TOK_METASPACE,   /* replacement a, prepend_scheme, x split */
    SMELT_TOK_WHITESPACE,
    SMELT_TOK_WHITESPACE_SPLIT,
    /* decoder */
    SMELT_TOK_DEC_BYTES,
    SMELT_TOK_DEC_BYTE_FALLBACK,
    SMELT_TOK_DEC_FUSE,
    SMELT_TOK_DEC_STRIP,     /* up to n times a at the front, m at the end */
    SMELT_TOK_DEC_REPLACE,   /* a by b */
    SMELT_TOK_DEC_METASPACE, /* replacement a, prepend_scheme */
    SMELT_TOK_DEC_SENTENCE,  /* SentencePiece: x: drop a leading space, y: all of them */
    SMELT_TOK_OPS
} smelt_tok_op;

typedef enum smelt_tok_behavior {
    SMELT_TOK_REMOVED,
    SMELT_TOK_ISOLATED,
    SMELT_TOK_MERGED_WITH_PREVIOUS,
    SMELT_TOK_MERGED_WITH_NEXT,
    SMELT_TOK_CONTIGUOUS,
} smelt_tok_behavior;

typedef enum smelt_tok_scheme { SMELT_TOK_ALWAYS, SMELT_TOK_FIRST, SMELT_TOK_NEVER } smelt_tok_scheme;

typedef struct smelt_tok_step {
    smelt_tok_op op;
    smelt_str a, b;
    smelt_tok_behavior behavior;
    smelt_tok_scheme scheme;
    bool x, y;
    uint32_t n, m;
} smelt_tok_step;

typedef struct smelt_tok_steps {
    smelt_tok_step *step;
    size_t n, capacity;
} smelt_tok_steps;

typedef struct smelt_tok_added {
    smelt_str text;
    int32_t id;
    bool special, normalized, lstrip, rstrip, single_word;
} smelt_tok_added;

typedef struct smelt_tok_merge {
    smelt_str left, right;
} smelt_tok_merge;

enum { SMELT_TOK_MAX_FRAME = 16 };

/* What a format knows about a tokenizer. All memory is the caller's and must outlive the tokenizer made from it. */
typedef struct smelt_tok_desc {
    smelt_tok_model model;
    size_t n;              /* ids are below this */
    const smelt_str *text; /* [n]; p is NULL for an id that the model's own vocabulary does not have */
    const double *score;   /* [n]; SCORES and UNIGRAM */
    const uint8_t *type;   /* [n] smelt_token_type; NULL: all normal */
    size_t n_merges;
    const smelt_tok_merge *merges;
    int64_t unk;        /* -1: what has no token is left out */
    smelt_str unk_text; /* what decoding makes of it; p is NULL: its own text */
    bool fuse_unk, byte_fallback, ignore_merges;
    bool float_scores; /* UNIGRAM: sums are float32, as sentencepiece's */
    smelt_tok_steps normalizer, pretokenizer, decoder;
    size_t n_added;
    const smelt_tok_added *added;
    int32_t before[SMELT_TOK_MAX_FRAME], after[SMELT_TOK_MAX_FRAME]; /* what encoding puts around a text */
    size_t n_before, n_after;
} smelt_tok_desc;

/* Appends the letter that stands for a byte in a byte-level vocabulary (GPT-2's alphabet). */
void tok_put_byte(smelt_buf *out, uint8_t byte);
/* Appends a step and returns it, zeroed but for `op`; NULL when out of memory. */
smelt_tok_step *tok_step(smelt_arena *arena, smelt_tok_steps *steps, smelt_tok_op op);

typedef struct smelt_tok smelt_tok;
/* Scratch memory and a cache of pieces, for one thread at a time. */
typedef struct smelt_tok_state smelt_tok_state;

/* Compiles a description. NEW: tok_free. E_CORRUPT for merges or added tokens that contradict the vocabulary, E_UNSUPPORTED for
 * a pattern that does not compile or steps that do not go together, E_LIMIT. */
smelt_status tok_new(const smelt_tok_desc *desc, smelt_tok **out, smelt_err *err);
void tok_free(smelt_tok *tok);
/* NEW: tok_state_free. Belongs to `tok`. */
smelt_status tok_state_new(const smelt_tok *tok, smelt_tok_state **out, smelt_err *err);
void tok_state_free(smelt_tok_state *state);

enum {
    SMELT_TOK_ADD_SPECIAL = 1, /* encode: put BOS, EOS and the like around the text, as the tokenizer's files say */
    SMELT_TOK_LITERAL = 2,     /* encode: the names of special tokens in the text are text */
    SMELT_TOK_SKIP_SPECIAL = 4 /* decode: leave special tokens out */
};

/* Appends the ids of a text (int32_t, native order) to `ids`. E_LIMIT for 2 GiB or more, or when a pattern needs too many steps. */
smelt_status tok_encode(const smelt_tok *tok, smelt_tok_state *state, const char *text, size_t n, unsigned flags, smelt_buf *ids,
                        smelt_err *err);
/* Appends the text of ids: the bytes that the tokens stand for, which need not be UTF-8. E_USAGE for an id that does not exist. */
smelt_status tok_decode(const smelt_tok *t, const int32_t *ids, size_t n, unsigned flags, smelt_buf *out, smelt_err *err);
size_t tok_count(const smelt_tok *tok);
/* A token as its vocabulary spells it. BORROWED; p is NULL for ids that do not exist. */
smelt_str tok_text(const smelt_tok *tok, int64_t id);

/* The description of a vocabulary: what its kind and its `pre` row say. With `normalize`, texts are normalised as the row says, as
 * the original tokenizer does; without, they are not, as no reader of GGUF does. E_UNSUPPORTED for a pre-tokenizer whose way of
 * cutting text is not known. `v` must outlive the description. */
smelt_status tok_desc_from_vocab(smelt_arena *arena, const smelt_vocab *v, bool normalize, smelt_tok_desc *d, smelt_err *err);

#endif
