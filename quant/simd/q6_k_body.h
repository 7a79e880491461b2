/* q6_k with LANES sub-blocks at a time, one a lane: each lane walks its 16 elements in order, so that its sums round as the
 * baseline's do, and all lanes try the same 19 scales. Included by one file per instruction set, which defines the vector type
 * vf of LANES floats, its operations vf_*, vf_transpose16 (rows of sub-blocks to columns), and NAME, the function's name. */

/* What the search knows of LANES sub-blocks. */
typedef struct q6_k_found {
    float scale[16], inverse[16]; /* chosen scale, and the trial that gave the codes */
} q6_k_found;

static inline void q6_k_correlate(const vf *x, const vf *wx, const vf *w, vf inverse, vf *xl, vf *ll)
{
    const vf magic = vf_set(12582912.0f), lowest = vf_set(-32), highest = vf_set(31);
    vf sum_xl = vf_set(0), sum_ll = vf_set(0);
    for (int i = 0; i < 16; i++) {
        vf l = vf_sub(vf_add(vf_mul(inverse, x[i]), magic), magic);
        l = vf_max(vf_min(l, highest), lowest);
        sum_xl = vf_add(sum_xl, vf_mul(wx[i], l));
        sum_ll = vf_add(sum_ll, vf_mul(vf_mul(w[i], l), l));
    }
    *xl = sum_xl;
    *ll = sum_ll;
}

static inline void q6_k_search(const float *block, int first, q6_k_found *found)
{
    vf x[16], w[16], wx[16];
    vf_transpose16(block + 16 * first, x);
    vf top = vf_set(0), top_abs = vf_set(0);
    for (int i = 0; i < 16; i++) {
        const vf mag = vf_abs(x[i]);
        const vm more = vf_gt(mag, top_abs);
        top = vf_select(more, x[i], top);
        top_abs = vf_select(more, mag, top_abs);
        w[i] = vf_mul(x[i], x[i]);
        wx[i] = vf_mul(w[i], x[i]);
    }
    /* Lanes of zeros divide by zero here; their results are dropped below. */
    const vf zero = vf_set(0);
    vf kept = vf_div(vf_set(-32), top), xl, ll;
    q6_k_correlate(x, wx, w, kept, &xl, &ll);
    vf scale = vf_select(vf_gt(ll, zero), vf_div(xl, ll), zero), best = vf_mul(scale, xl);
    for (int trial = -9; trial <= 9; trial++) {
        if (trial == 0) continue;
        const vf inverse = vf_div(vf_set(-(32.0f + 0.1f * (float)trial)), top);
        q6_k_correlate(x, wx, w, inverse, &xl, &ll);
        const vm better = vm_and(vf_gt(ll, zero), vf_gt(vf_mul(xl, xl), vf_mul(best, ll)));
        if (vm_none(better)) continue;
        kept = vf_select(better, inverse, kept);
        scale = vf_select(better, vf_div(xl, ll), scale);
        best = vf_select(better, vf_mul(scale, xl), best);
    }
    const vm some = vf_ge(top_abs, vf_set(SEARCH_EPS));
    vf_store(found->scale + first, vf_select(some, scale, zero));
    vf_store(found->inverse + first, vf_select(some, kept, zero));
}

/* False if magnitudes are such that products could overflow or vanish, or a value is not finite: the baseline's business. */
static inline bool q6_k_usual(const float *x)
{
    uint32_t top = 0;
    for (int i = 0; i < 256; i++) {
        uint32_t m = f32_bits(x[i]) & 0x7FFFFFFF;
        top = top > m ? top : m;
    }
    return top < 0x5D800000; /* 2^60 */
}

void NAME(const float *x, void *dst, uint64_t rows, uint64_t cols, const float *weights)
{
    if (weights) {
        q6_k_pack(x, dst, rows, cols, weights);
        return;
    }
    blk_q6_k *b = dst;
    for (uint64_t k = 0; k < rows * cols / 256; k++, b++, x += 256) {
        if (!q6_k_usual(x)) {
            q6_k_pack(x, b, 1, 256, NULL);
            continue;
        }
        q6_k_found found;
        for (int j = 0; j < 16; j += LANES)
            q6_k_search(x, j, &found);
        float top = 0;
        for (int j = 0; j < 16; j++)
            if (fp_abs(found.scale[j]) > fp_abs(top)) top = found.scale[j];
        if (fp_abs(top) < SEARCH_EPS) {
            memset(b, 0, sizeof *b);
            continue;
        }
        const float inverse = -128.0f / top;
        fp_put16(b->d, 1 / inverse);
        const float d16 = fp_get16(b->d);
        uint8_t code[256];
        for (int j = 0; j < 16; j++) {
            const int s = fp_nearest(inverse * found.scale[j]);
            b->scales[j] = (int8_t)(s < 127 ? s : 127);
            const float d = d16 * (float)b->scales[j];
            const float *xj = x + 16 * j;
            uint8_t *cj = code + 16 * j;
            if (d != 0)
                for (int i = 0; i < 16; i++)
                    cj[i] = (uint8_t)(fp_clamp(fp_nearest(xj[i] / d), -32, 31) + 32);
            else if (found.inverse[j] != 0)
                for (int i = 0; i < 16; i++)
                    cj[i] = (uint8_t)(fp_clamp(fp_nearest(found.inverse[j] * xj[i]), -32, 31) + 32);
            else
                memset(cj, 0, 16);
        }
        for (int h = 0; h < 2; h++) {
            const uint8_t *c = code + 128 * h;
            for (int l = 0; l < 32; l++) {
                b->ql[64 * h + l] = (uint8_t)((c[l] & 15) | (c[l + 64] & 15) << 4);
                b->ql[64 * h + l + 32] = (uint8_t)((c[l + 32] & 15) | (c[l + 96] & 15) << 4);
                b->qh[32 * h + l] = (uint8_t)(c[l] >> 4 | c[l + 32] >> 4 << 2 | c[l + 64] >> 4 << 4 | c[l + 96] >> 4 << 6);
            }
        }
    }
}
