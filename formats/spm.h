/* SentencePiece models (tokenizer.model): protobuf messages of sentencepiece_model.proto, read and written without a protobuf
 * library.
 *
 * ModelProto:  1 pieces (repeated), 2 trainer_spec, 3 normalizer_spec; other fields are skipped.
 * Piece:       1 piece (string), 2 score (float, 0), 3 type (enum, 1)
 * TrainerSpec: 3 model_type (enum, 1), 4 vocab_size, 24 treat_whitespace_as_suffix, 35 byte_fallback, 40..43 unk_id (0), bos_id (1), eos_id (2), pad_id (-1),
 *              44 unk_surface (" U+2047 ")
 * NormalizerSpec: 1 name, 2 precompiled_charsmap, 3 add_dummy_prefix (true), 4 remove_extra_whitespaces (true), 5 escape_whitespaces (true) */
#ifndef SMELT_FORMATS_SPM_H
#define SMELT_FORMATS_SPM_H

#include "base/bytes.h"
#include "ir/meta.h"

/* Numbers of the protobuf enums. */
enum { SPM_NORMAL = 1, SPM_UNKNOWN = 2, SPM_CONTROL = 3, SPM_USER_DEFINED = 4, SPM_UNUSED = 5, SPM_BYTE = 6 };
enum { SPM_UNIGRAM = 1, SPM_BPE = 2 };

typedef struct spm_piece {
    smelt_str text;
    float score;
    int32_t type;
} spm_piece;

typedef struct spm_model {
    size_t n;
    spm_piece *pieces;
    int32_t model_type;
    bool byte_fallback, add_dummy_prefix, remove_extra_whitespaces, space_behind;
    smelt_str charsmap;                     /* empty: none */
    smelt_str unk_text;                     /* p is NULL: the default one */
    int32_t unk_id, bos_id, eos_id, pad_id; /* -1: none */
} spm_model;

/* Parses `size` bytes; the pieces' texts are BORROWED from them. E_TRUNCATED or E_CORRUPT with the byte offset for what is not a
 * SentencePiece model: bad framing, no pieces, an empty or repeated piece, text that is not UTF-8, a type that does not exist. */
smelt_status spm_parse(smelt_arena *arena, const void *data, size_t size, spm_model *m, smelt_err *err);
/* Appends the file for a model. */
void spm_write(smelt_buf *out, const spm_model *model);

#endif
