/* What the fuzz targets share. A target is one file here, NAME.c, with its seeds in corpus/NAME/ and, if it helps, a dictionary
 * NAME.dict. Built with SMELT_FUZZ it is a libFuzzer program; without, a program that replays files, which ctest runs. */
#ifndef SMELT_TESTS_FUZZ_H
#define SMELT_TESTS_FUZZ_H

#include "ir/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Writes the input to a file whose name ends in `suffix`, reads it with the format (NULL: with the one that recognises it),
 * and where that succeeds looks at every tensor and lays out the model in every format that is written. Always 0. */
int fuzz_reader(const smelt_format *format, const char *suffix, const uint8_t *data, size_t size);
/* The same for a directory: the input is a sequence of files, each behind a line "=== NAME\n" with a plain name. */
int fuzz_directory(const uint8_t *data, size_t size);
/* Opens the input, converts it to `suffix` with one and with three threads, compares the bytes, and opens the result. */
int fuzz_round_trip(const char *suffix, const uint8_t *data, size_t size);

#endif
