/* Token ids as text: any bytes are ids from 0 on, or an error with a byte. */
#include "verify/tokens.h"

#include <string.h>

#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    smelt_buf ids = {0};
    smelt_err err = {0};
    const smelt_status st = tokens_parse((const char *)data, size, &ids, &err);
    fuzz_check_status(st, &err);
    fuzz_demand(st == SMELT_OK || err.offset < size, "an error behind the end");
    for (size_t i = 0; i < ids.size; i += sizeof(int32_t)) {
        int32_t id;
        memcpy(&id, ids.data + i, sizeof id);
        fuzz_demand(id >= 0, "an id below 0");
    }
    buf_free(&ids);
    return 0;
}
