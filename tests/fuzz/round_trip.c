#include "fuzz/fuzz.h"

/* The first byte says which format to write. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const targets[] = {".gguf", ".safetensors", ".pt"};
    return size ? fuzz_round_trip(targets[data[0] % 3], data + 1, size - 1) : 0;
}
