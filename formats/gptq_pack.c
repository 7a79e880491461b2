#include "formats/gptq_pack.h"

#include "base/bytes.h"

enum { WORD = 32, WORD_BYTES = 4 };

uint64_t gptq_words(uint64_t n, unsigned bits) { return n / GPTQ_RUN * bits + (n % GPTQ_RUN * bits + WORD - 1) / WORD; }

void gptq_pack(const uint8_t *codes, size_t n, unsigned bits, size_t step, void *words)
{
    uint8_t *to = words;
    uint64_t stream = 0;
    unsigned have = 0;
    for (size_t i = 0; i < n; i++) {
        stream |= (uint64_t)codes[i] << have;
        have += bits;
        if (have < WORD) continue;
        store_le32(to, (uint32_t)stream);
        to += step * WORD_BYTES;
        stream >>= WORD;
        have -= WORD;
    }
    if (have) store_le32(to, (uint32_t)stream);
}

void gptq_unpack(const void *words, size_t step, unsigned bits, size_t n, uint8_t *codes)
{
    const uint8_t *from = words;
    const uint32_t mask = (1U << bits) - 1;
    uint64_t stream = 0;
    unsigned have = 0;
    for (size_t i = 0; i < n; i++) {
        if (have < bits) {
            stream |= (uint64_t)load_le32(from) << have;
            from += step * WORD_BYTES;
            have += WORD;
        }
        codes[i] = (uint8_t)(stream & mask);
        stream >>= bits;
        have -= bits;
    }
}

bool gptq_pack_zeros(const uint8_t *zeros, size_t n, unsigned bits, int version, void *words)
{
    enum { STEP = 8 * GPTQ_RUN };
    uint8_t less[STEP];
    for (size_t i = 0; i < n; i++)
        if (version == 1 && zeros[i] == 0) return false;
    for (size_t at = 0; at < n; at += STEP) {
        const size_t m = n - at < STEP ? n - at : STEP;
        for (size_t i = 0; i < m; i++)
            less[i] = (uint8_t)(zeros[at + i] - (version == 1));
        gptq_pack(less, m, bits, 1, (uint8_t *)words + gptq_words(at, bits) * WORD_BYTES);
    }
    return true;
}
