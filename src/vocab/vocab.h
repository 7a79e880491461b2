/* A vocabulary as the formats carry it: tokens, merges or scores, special tokens, and how text is split before. */
#ifndef SMELT_VOCAB_VOCAB_H
#define SMELT_VOCAB_VOCAB_H

#include "ir/model.h"

typedef enum smelt_vocab_kind {
    SMELT_VOCAB_NONE,
    SMELT_VOCAB_BPE, /* byte-level BPE, GGUF "gpt2" */
    SMELT_VOCAB_SPM, /* SentencePiece BPE with scores and byte fallback, GGUF "llama" */
} smelt_vocab_kind;

/* Numbers as in GGUF's tokenizer.ggml.token_type. */
typedef enum smelt_token_type {
    SMELT_TOKEN_NORMAL = 1,
    SMELT_TOKEN_UNKNOWN = 2,
    SMELT_TOKEN_CONTROL = 3,
    SMELT_TOKEN_USER = 4,
    SMELT_TOKEN_UNUSED = 5,
    SMELT_TOKEN_BYTE = 6,
} smelt_token_type;

/* Special tokens: rows of vocab/special.def (name in HF files, GGUF key part). */
typedef enum smelt_special {
#define SMELT_SPECIAL(id, hf, gguf, written) SMELT_SP_##id,
#include "vocab/special.def"
#undef SMELT_SPECIAL
    SMELT_SP_COUNT
} smelt_special;

typedef struct smelt_template {
    const char *name; /* NULL: the default one */
    smelt_str text;
} smelt_template;

typedef enum smelt_fact_kind {
    SMELT_FACT_SPECIAL,
    SMELT_FACT_ADD,
    SMELT_FACT_TEMPLATES,
    SMELT_FACT_LOWERCASE,
    SMELT_FACT_STRIP_ACCENTS
} smelt_fact_kind;

/* What a vocabulary says beyond its tokens, in the order in which it was said: GGUF files list it in that order. */
typedef struct smelt_vocab_fact {
    smelt_fact_kind kind;
    smelt_special special; /* of SPECIAL (its id) and ADD (whether encoding adds it) */
} smelt_vocab_fact;

enum { SMELT_MAX_FACTS = 2 * SMELT_SP_COUNT + 3 };

typedef struct smelt_vocab {
    smelt_vocab_kind kind;
    const char *pre;       /* pre-tokenizer's name, a row of vocab/pretoken.def; NULL: none */
    size_t n;              /* tokens */
    const smelt_str *text; /* [n] as GGUF stores them (byte-level alphabet for BPE, U+2581 for SPM) */
    const float *score;    /* [n] or NULL */
    const int32_t *type;   /* [n] smelt_token_type, or NULL */
    size_t n_merges;
    const smelt_str *merges;         /* "left right"; spaces inside a part are U+0120 in byte-level vocabularies */
    int64_t special[SMELT_SP_COUNT]; /* id or -1 */
    int add_special[SMELT_SP_COUNT]; /* whether encoding adds it (BOS, EOS, SEP): 1, 0, or -1 for unsaid */
    int add_space_prefix;            /* 1, 0, -1 */
    int lowercase, strip_accents;    /* what the normaliser does: 1, 0, -1 */
    size_t n_facts;
    smelt_vocab_fact facts[SMELT_MAX_FACTS];
    size_t n_templates;
    const smelt_template *templates; /* chat templates, the default one first if there is one */
} smelt_vocab;

/* Appends a fact unless it is there. */
void vocab_fact(smelt_vocab *vocab, smelt_fact_kind kind, smelt_special special);
/* An empty vocabulary: nothing said. */
void vocab_init(smelt_vocab *vocab);

#endif
