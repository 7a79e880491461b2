#include "tools/compose.h"

#include <omp.h>
#include <stdlib.h>

#include "quant/codecs.h"

#define SMELT_FORMAT(name) extern const smelt_format smelt_format_##name;
#include "formats/formats.def"
#undef SMELT_FORMAT

static const smelt_format *const formats[] = {
#define SMELT_FORMAT(name) &smelt_format_##name,
#include "formats/formats.def"
#undef SMELT_FORMAT
    NULL,
};

const char *smelt_version(void) { return SMELT_VERSION; }

smelt_status ctx_init(smelt_ctx *ctx, smelt_err *err)
{
    *ctx = (smelt_ctx){.formats = formats, .cpu = smelt_cpu_detect(), .threads = omp_get_num_procs()};
    const char *wish = getenv("SMELT_CPU");
    if (wish && *wish) {
        smelt_cpu level;
        if (!smelt_cpu_parse(wish, &level))
            return smelt_fail(err, SMELT_E_USAGE, "SMELT_CPU=%s: use baseline, avx2, avx512, vnni, bf16 or neon", wish);
        if (!smelt_cpu_covers(ctx->cpu, level))
            return smelt_fail(err, SMELT_E_USAGE, "SMELT_CPU=%s: this processor has %s", wish, smelt_cpu_name(ctx->cpu));
        ctx->cpu = level;
    }
    codecs_select(ctx->cpu, ctx->codec);
    return SMELT_OK;
}
