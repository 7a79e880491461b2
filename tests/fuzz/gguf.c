#include "fuzz/fuzz.h"

extern const smelt_format smelt_format_gguf;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_reader(&smelt_format_gguf, ".gguf", data, size); }
