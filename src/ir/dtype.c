#include "ir/dtype.h"

#include <string.h>
#include <strings.h>

static const smelt_dtype_row rows[SMELT_DT_COUNT] = {
#define SMELT_DTYPE(id, name, kind, elems, bytes, gguf, st, torch, storage) \
    [SMELT_DT_##id] = {name, SMELT_KIND_##kind, elems, bytes, gguf, st, torch, storage},
#include "ir/dtype.def"
#undef SMELT_DTYPE
};

const smelt_dtype_row *smelt_dtype_get(smelt_dtype dtype) { return &rows[dtype]; }

bool smelt_dtype_by_name(const char *name, smelt_dtype *out)
{
    for (int i = 0; i < SMELT_DT_COUNT; i++)
        if (strcasecmp(rows[i].name, name) == 0) {
            *out = (smelt_dtype)i;
            return true;
        }
    return false;
}

bool smelt_dtype_by_gguf(uint32_t id, smelt_dtype *out)
{
    for (int i = 0; i < SMELT_DT_COUNT; i++)
        if (rows[i].gguf_id >= 0 && (uint32_t)rows[i].gguf_id == id) {
            *out = (smelt_dtype)i;
            return true;
        }
    return false;
}

bool smelt_dtype_by_st(const char *name, smelt_dtype *out)
{
    for (int i = 0; i < SMELT_DT_COUNT; i++)
        if (rows[i].st_name && strcmp(rows[i].st_name, name) == 0) {
            *out = (smelt_dtype)i;
            return true;
        }
    return false;
}

bool smelt_dtype_bytes(smelt_dtype dtype, uint64_t elems, uint64_t *bytes)
{
    const smelt_dtype_row *r = &rows[dtype];
    return elems % r->elems == 0 && mul_u64(elems / r->elems, r->bytes, bytes);
}

double smelt_dtype_bpw(smelt_dtype dtype) { return 8.0 * rows[dtype].bytes / rows[dtype].elems; }
