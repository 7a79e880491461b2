/* Codes of 2, 3, 4 or 8 bits in the 32-bit words of a GPTQ checkpoint: one stream, the lowest bits first, so that 32 codes fill as
 * many words as a code has bits and a code of 3 bits may lie across two of them (the 10th and the 21st of 32). `qweight` packs down
 * the input dimension: word w of a column lies w * step words behind its first, step being the number of columns; `qzeros` packs along
 * a row, step 1. Words are little-endian, as safetensors stores them. Source: AutoGPTQ's and GPTQModel's qlinear packing. */
#ifndef SMELT_FORMATS_GPTQ_PACK_H
#define SMELT_FORMATS_GPTQ_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GPTQ_RUN = 32 }; /* codes of a run, which begins and ends with a word */

/* The least integer v such that `n` codes fit v words. */
uint64_t gptq_words(uint64_t n, unsigned bits);

/* Writes the gptq_words(n, bits) words of n codes, each below 2^bits; the last one is filled with zero bits. */
void gptq_pack(const uint8_t *codes, size_t n, unsigned bits, size_t step, void *words);
/* Reads n codes from the first one of a word on. */
void gptq_unpack(const void *words, size_t step, unsigned bits, size_t n, uint8_t *codes);

/* The same for a row of zeros. Version 1 of the format ("checkpoint_format": "gptq") stores each zero less one, modulo 2^bits;
 * version 2 ("gptq_v2") stores it. Every zero stands for itself: nothing is carried to its neighbours. False, and nothing is
 * written, if a zero is 0 in version 1: programs disagree about what that means. */
bool gptq_pack_zeros(const uint8_t *zeros, size_t n, unsigned bits, int version, void *words);

#endif
