/* The general.* keys of a GGUF file that are derived from a Hugging Face directory. */
#ifndef SMELT_FORMATS_HF_CARD_H
#define SMELT_FORMATS_HF_CARD_H

#include "ir/format.h"

/* Appends general.type to general.languages to `meta`, as llama.cpp's converter derives them (gguf-py/gguf/metadata.py, in the
 * order of set_gguf_meta_model), from
 * - the front matter of the side file README.md (the model card),
 * - the sampling defaults in the side file generation_config.json,
 * - _name_or_path in config.json,
 * - the model's title, which is the directory's name (for "." and "..", the name of the directory that it stands for),
 * - `total_params`, the number of elements of all tensors that are written; with it, a part of a name such as "128k" is known
 *   to be no size. Stacked expert tensors of the model make a label such as "8x7B". 0: no label is made up.
 * Strings and arrays are copied into meta's arena. A README.md or generation_config.json that cannot be used is told to
 * ctx->warn and ignored, so the only failure is E_NOMEM. Time and memory are bounded whatever they hold: a front matter above
 * 2 MiB, YAML nested deeper than 64, aliases where a value is needed and more than 1024 base models or datasets are refused. */
smelt_status hf_card_meta(const smelt_ctx *ctx, const smelt_model *model, uint64_t total_params, smelt_meta *meta, smelt_err *err);

#endif
