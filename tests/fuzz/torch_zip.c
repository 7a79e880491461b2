#include "fuzz/fuzz.h"

extern const smelt_format smelt_format_torch_zip;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_reader(&smelt_format_torch_zip, ".pt", data, size); }
