/* The safetensors reader on any bytes. */
#include "fuzz.h"

extern const smelt_format smelt_format_safetensors;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_reader(&smelt_format_safetensors, ".safetensors", data, size);
}
