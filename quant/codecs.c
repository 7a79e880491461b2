#include "quant/codecs.h"

#include <stddef.h>
#include <string.h>

#include "quant/codec_list.h"

static const smelt_codec *const codecs[] = {
#define SMELT_CODEC(name) &smelt_codec_##name,
#include "quant/codecs.def"
#undef SMELT_CODEC
};

void codecs_select(smelt_cpu cpu, smelt_codec_fns *fns)
{
    memset(fns, 0, SMELT_DT_COUNT * sizeof *fns);
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++) {
        smelt_codec_fns *f = &fns[codecs[i]->dtype];
        f->validate = codecs[i]->validate;
        f->weights = codecs[i]->weights;
        f->int8 = int8_find(codecs[i]->dtype);
        f->scales = scales_find(codecs[i]->dtype);
        /* Best first: each function is the first one that the processor can run. */
        for (int v = 0; v < SMELT_CODEC_VARIANTS; v++) {
            const smelt_codec_variant *variant = &codecs[i]->variants[v];
            if (!smelt_cpu_covers(cpu, variant->cpu)) continue;
            if (!f->pack) f->pack = variant->pack;
            if (!f->unpack) f->unpack = variant->unpack;
        }
    }
}
