/* What the fuzz targets share. A target is one file here, NAME.c, with its seeds in corpus/NAME/ and, if it helps, a dictionary
 * NAME.dict. Built with SMELT_FUZZ it is a libFuzzer program; without, a program that replays files, which ctest runs. */
#ifndef SMELT_TESTS_FUZZ_H
#define SMELT_TESTS_FUZZ_H

#include "ir/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Writes the input to a file whose name ends in `suffix`, reads it with the format (NULL: with the one that recognises it),
 * and where that succeeds looks at every tensor and lays out the model in every format that is written. Always 0. */
int fuzz_reader(const smelt_format *format, const char *suffix, const uint8_t *data, size_t size);
/* Only writes the file and makes a context. Returns its path, which stays until the next input. */
const char *fuzz_file(smelt_ctx *ctx, const char *suffix, const uint8_t *data, size_t size);
/* The same for a directory: the input is a sequence of files, each behind a line "=== NAME\n" with a plain name. */
int fuzz_directory(const uint8_t *data, size_t size);
/* Only writes such a directory and makes a context. Returns its path, which stays until the next input. */
const char *fuzz_unpack(smelt_ctx *ctx, const uint8_t *data, size_t size);
/* Stops the program unless `ok`; and unless a failure has a message that is fit to print. */
void fuzz_demand(bool ok, const char *what);
void fuzz_check_status(smelt_status st, const smelt_err *err);
/* Opens the input, converts it to `suffix` with one and with three threads, compares the bytes, and opens the result. */
int fuzz_round_trip(const char *suffix, const uint8_t *data, size_t size);

#endif
