/* A report of made-up results on stdout, for tests of its HTML: report_cli good|hostile|empty
 * hostile: names of tensors, paths and texts are written to break out of the page or to mislead. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verify/verify.h"

enum { LAYERS = 30, PARTS = 9 };

static const char *const hostile[] = {
    "\"><script>document.title='broken'</script>",
    "<img src=\"http://example.org/x.png\" onerror=\"document.title='broken'\">",
    "' onfocus='document.title=1' autofocus='",
    "</title></style></script></svg><h1>broken</h1>",
    "a\xE2\x80\xAEgnp.exe",
    "bytes \xFF\xFE and \xC3",
    "line\nbreak\ttab\x1B[31m",
    "{{style}} {{weights}}",
    "&lt;b&gt; &amp; <!-- --> ]]>",
    "javascript:alert(1)",
};
enum { HOSTILE = sizeof hostile / sizeof *hostile };

static double noise(unsigned *state)
{
    *state = *state * 1664525U + 1013904223U;
    return (double)(*state >> 8) / (1 << 24);
}

static int by_snr(const void *a, const void *b)
{
    const verify_tensor *x = a, *y = b;
    if (!x->nonfinite != !y->nonfinite) return x->nonfinite ? -1 : 1;
    return (x->snr > y->snr) - (x->snr < y->snr);
}

static size_t tensors(verify_tensor *t, smelt_arena *arena, bool bad)
{
    static const char *const part[PARTS] = {"attn_k",   "attn_norm", "attn_output", "attn_q", "attn_v",
                                            "ffn_down", "ffn_gate",  "ffn_norm",    "ffn_up"};
    unsigned state = 7;
    size_t n = 0;
    for (int l = -1; l < LAYERS; l++)
        for (int p = 0; p < (l < 0 ? 2 : PARTS); p++) {
            const bool norm = l >= 0 && strstr(part[p], "norm");
            verify_tensor *v = &t[n++];
            *v = (verify_tensor){
                .layer = l, .type = norm ? SMELT_DT_F32 : SMELT_DT_Q4_0, .original_type = norm ? SMELT_DT_F32 : SMELT_DT_BF16};
            v->name = l < 0 ? (p ? "output.w" : "token_embd.w") : arena_printf(arena, "layer.%d.%s.w", l, part[p]);
            v->shape = norm ? (smelt_shape){1, {576}} : (smelt_shape){2, {1536, 576}};
            v->elements = v->compared = norm ? 576 : 1536 * 576;
            v->equal = norm;
            v->snr = v->block_snr = INFINITY;
            v->cosine = 1;
            v->original_rms = 0.05;
            if (norm) continue;
            v->snr = 21 + 3 * noise(&state) - (p == 5 ? 4 : 0) - 0.1 * (l > 20 ? l - 20 : 0);
            v->block_snr = v->snr - 8 * noise(&state);
            v->rmse = v->original_rms * pow(10, -v->snr / 20);
            v->cosine = 1 - 0.5 * pow(10, -v->snr / 10);
            v->max_error = v->rmse * 6;
            v->blocks = v->elements / 32;
            v->zeroed = p == 2 ? 3 : 0;
        }
    if (bad) {
        for (size_t i = 0; i < HOSTILE; i++)
            t[3 + i].name = hostile[i];
        char *longest = arena_calloc(arena, 400, 1);
        memset(longest, 'w', 399);
        t[20].name = longest;
        t[21].nonfinite = 12;
        t[21].snr = NAN;
    }
    qsort(t, n, sizeof *t, by_snr);
    return n;
}

static void logits(verify_logits *l, smelt_arena *arena, bool bad)
{
    unsigned state = 3;
    *l = (verify_logits){.done = true,
                         .context = 512,
                         .chunks = 8,
                         .scored = 2040,
                         .vocab = 49152,
                         .text = bad ? hostile[0] : "the built-in sample"};
    l->kl = (verify_value){0.0421, 0.0389, 0.0453, 0.0016};
    l->kl_above = 0.0421;
    l->kl_median = (verify_value){0.0187, 0.0187, 0.0187, 0};
    l->kl_p99 = (verify_value){0.31, 0.27, 0.36, 0};
    l->kl_p999 = (verify_value){1.02, 0.8, 1.4, 0};
    l->kl_max = (verify_value){1.9, 1.9, 1.9, 0};
    l->top1 = (verify_value){0.8961, 0.882, 0.909, 0.0068};
    l->top5 = (verify_value){0.912, 0.905, 0.919, 0.0035};
    l->dp_rms = (verify_value){0.0551, 0.052, 0.058, 0.0015};
    l->ppl = (verify_value){14.92, 14.1, 15.8, 0.43};
    l->original_ppl = (verify_value){14.31, 13.5, 15.1, 0.41};
    l->ppl_ratio = (verify_value){1.0426, 1.034, 1.051, 0.0043};
    for (int i = 12; i < 35; i++)
        l->bins[i] = (size_t)(260 * exp(-(i - 25.0) * (i - 25.0) / 18));
    double *by = arena_calloc(arena, 255, sizeof *by);
    for (int i = 0; i < 255; i++)
        by[i] = 0.03 + 0.03 * noise(&state);
    l->by_position = by;
    l->n_by_position = 255;
    l->first_position = 256;
    static verify_position worst[2] = {
        {3, 301, 1.9, 260, 1041, 260, 0.011, 0.74, " the licence terms that apply to it", " and", " or", " and"},
        {6, 477, 1.2, 28, 3, 28, 0.2, 0.61, NULL, NULL, NULL, NULL},
    };
    if (bad) worst[0].text = hostile[3], worst[0].top_text = hostile[6];
    l->worst = worst;
    l->n_worst = 2;
}

static void result(verify_result *r, bool bad)
{
    smelt_arena *arena = &r->arena;
    static const verify_type q4[] = {{SMELT_DT_Q4_0, 211, 134479872, 75644928}, {SMELT_DT_F32, 61, 35136, 140544}};
    static const verify_type bf[] = {{SMELT_DT_BF16, 272, 134515008, 269030016}};
    r->candidate = (verify_identity){.path = bad ? hostile[1] : "out/smollm2-135m-q4_0.gguf",
                                     .format = "GGUF",
                                     .variant = "v3",
                                     .family = "llama",
                                     .params = 134515008,
                                     .bytes = 75785472,
                                     .bpw = 4.507,
                                     .n_types = 2,
                                     .types = q4,
                                     .hash = "1f0a6f4ad6e06b1fb2a9d7f3c95d0a41"};
    r->original = (verify_identity){.path = "models/SmolLM2-135M-Instruct",
                                    .format = "Hugging Face directory",
                                    .family = "llama",
                                    .params = 134515008,
                                    .bytes = 269030016,
                                    .bpw = 16,
                                    .n_types = 1,
                                    .types = bf,
                                    .hash = "c0ffee4ad6e06b1fb2a9d7f3c95d0a42"};
    static const verify_difference differences[] = {
        {AREA_TENSOR, false, "output_norm", NULL, "f32 [576]"},
        {AREA_TEMPLATE, true, "chat template", "{{ messages }}<script>document.title='broken'</script>", NULL},
    };
    r->structure = (verify_structure){true, bad, bad ? 2 : 0, differences};
    verify_tensor *t = arena_calloc(arena, (LAYERS + 1) * PARTS, sizeof *t);
    r->weights = (verify_weights){.done = true, .list = t, .n = tensors(t, arena, bad), .equal = 2 * LAYERS, .snr = 21.4};
    logits(&r->logits, arena, bad);
    r->greedy = (verify_greedy){true, 4, 32, {18.5, 9, 28, 4}, 7, 28, 260, bad ? hostile[0] : "The", " a", " the"};
    verify_check *c = arena_calloc(arena, 6, sizeof *c);
    if (bad) {
        c[r->n_checks++] = (verify_check){METRIC_NONFINITE, t[0].name, hostile[2], {12, 12, 12, 0}, 0, VERDICT_BREACHED};
        c[r->n_checks++] = (verify_check){METRIC_SNR, hostile[0], hostile[0], {20.1, 20.1, 20.1, 0}, 21, VERDICT_BREACHED};
        r->breached = 2;
    }
    c[r->n_checks++] = (verify_check){METRIC_TOP1, NULL, "default", r->logits.top1, 0.9, VERDICT_UNDECIDED};
    c[r->n_checks++] = (verify_check){METRIC_KL, NULL, "default", r->logits.kl, 0.1, VERDICT_PASSED};
    c[r->n_checks++] = (verify_check){METRIC_PPL_RATIO, NULL, "option", r->logits.ppl_ratio, 1.1, VERDICT_PASSED};
    c[r->n_checks++] = (verify_check){METRIC_SNR, t[1].name, "default", {16.4, 16.4, 16.4, 0}, 12, VERDICT_PASSED};
    r->undecided = 1;
    r->checks = c;
    r->policy = "default for 4.5 bits a weight";
    static const char *warnings[1] = {"2,040 tokens are few for a limit of 0.9 on min-top1: about 3,600 would decide it"};
    r->warnings = warnings;
    r->n_warnings = 1;
    r->passed = !bad;
    if (bad) r->nonfinite = (verify_nonfinite){true, false, 2, 17, 5, hostile[2], hostile[3], NAN};
}

int main(int argc, char **argv)
{
    static verify_result r;
    smelt_buf out = {0};
    const char *kind = argc > 1 ? argv[1] : "";
    const bool bad = strcmp(kind, "hostile") == 0;
    if (bad || strcmp(kind, "good") == 0)
        result(&r, bad);
    else if (strcmp(kind, "empty") == 0) {
        r.candidate.format = "GGUF";
        r.original.format = "recorded logits";
        r.passed = true;
    } else
        return 2;
    if (report_html(&r, &out, NULL) != SMELT_OK || fwrite(out.data, 1, out.size, stdout) != out.size) return 4;
    buf_free(&out);
    arena_free(&r.arena);
    return 0;
}
