/* Recorded logits (record.h) as a reference. */
#ifndef SMELT_VERIFY_RECORDED_H
#define SMELT_VERIFY_RECORDED_H

#include "ir/model.h"
#include "verify/reference.h"
#include "vocab/vocab.h"

/* Whether a file has the tensors of recorded logits. */
bool recorded_is(const smelt_model *file);
/* At most `chunks` of its chunks (0: all). The model is BORROWED. NEW through *out: reference_close. E_CORRUPT, naming tensor and place, for shapes that do not fit together,
 * and for tokens and values that cannot be; values are looked at when their chunk is asked for. Memory: 4 bytes a token. */
smelt_status recorded_open(const smelt_model *m, size_t chunks, smelt_reference **out, smelt_err *err);
/* E_MISMATCH if a candidate with this vocabulary (NULL: it has none) and so many columns of logits counts other tokens. */
smelt_status recorded_fits(const smelt_model *m, const smelt_vocab *vocab, size_t columns, smelt_err *err);

#endif
