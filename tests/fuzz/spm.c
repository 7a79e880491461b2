/* SentencePiece models: what is parsed can be written, and reads back as the same. */
#include <string.h>

#include "formats/spm.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    smelt_arena arena = {0};
    smelt_err err = {0};
    smelt_buf out = {0};
    spm_model a, b;
    smelt_status st = spm_parse(&arena, data, size, &a, &err);
    fuzz_check_status(st, &err);
    fuzz_demand(arena.used <= 64 * size + 4096, "more memory than the input explains");
    if (st == SMELT_OK) {
        spm_write(&out, &a);
        fuzz_demand(!out.failed && spm_parse(&arena, out.data, out.size, &b, &err) == SMELT_OK && a.n == b.n, "does not read back");
        for (size_t i = 0; i < a.n; i++)
            fuzz_demand(a.pieces[i].type == b.pieces[i].type && memcmp(&a.pieces[i].score, &b.pieces[i].score, 4) == 0 &&
                            a.pieces[i].text.n == b.pieces[i].text.n &&
                            memcmp(a.pieces[i].text.p, b.pieces[i].text.p, a.pieces[i].text.n) == 0,
                        "a piece changed");
        fuzz_demand(a.model_type == b.model_type && a.byte_fallback == b.byte_fallback && a.unk_id == b.unk_id &&
                        a.bos_id == b.bos_id && a.eos_id == b.eos_id && a.pad_id == b.pad_id,
                    "a setting changed");
    }
    buf_free(&out);
    arena_free(&arena);
    return 0;
}
