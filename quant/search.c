#include "quant/search.h"

static int symmetric_code(float x, float inverse, int half) { return fp_clamp(fp_nearest(inverse * x), -half, half - 1); }

/* First of the elements with the largest magnitude, or 0 if there is none above 0. */
static float extreme(int n, const float *x)
{
    float best = 0, best_abs = 0;
    for (int i = 0; i < n; i++)
        if (fp_abs(x[i]) > best_abs) {
            best_abs = fp_abs(x[i]);
            best = x[i];
        }
    return best;
}

/* Sums over the group of w*x*l and w*l*l for the codes that `inverse` gives. */
static void correlate(int n, int half, const float *x, const float *weights, float inverse, float *xl, float *ll)
{
    *xl = *ll = 0;
    for (int i = 0; i < n; i++) {
        float l = (float)symmetric_code(x[i], inverse, half), w = weights ? weights[i] : x[i] * x[i];
        *xl += w * x[i] * l;
        *ll += w * l * l;
    }
}

float search_symmetric(int n, int half, const float *x, const float *weights, uint8_t *code)
{
    float top = extreme(n, x);
    if (fp_abs(top) < SEARCH_EPS) {
        memset(code, 0, (size_t)n);
        return 0;
    }
    float kept = (float)-half / top, xl, ll;
    correlate(n, half, x, weights, kept, &xl, &ll);
    float scale = ll != 0 ? xl / ll : 0, best = scale * xl;
    for (int trial = -9; trial <= 9; trial++) {
        if (trial == 0) continue;
        float inverse = -((float)half + 0.1f * (float)trial) / top;
        correlate(n, half, x, weights, inverse, &xl, &ll);
        if (ll > 0 && xl * xl > best * ll) {
            kept = inverse;
            scale = xl / ll;
            best = scale * xl;
        }
    }
    for (int i = 0; i < n; i++)
        code[i] = (uint8_t)(symmetric_code(x[i], kept, half) + half);
    return scale;
}

float search_descent(int n, int half, const float *x, uint8_t *code)
{
    float top = extreme(n, x);
    if (fp_abs(top) < SEARCH_EPS) {
        memset(code, 0, (size_t)n);
        return 0;
    }
    float inverse = (float)-half / top, xl = 0, ll = 0;
    for (int i = 0; i < n; i++) {
        int l = symmetric_code(x[i], inverse, half);
        code[i] = (uint8_t)(l + half);
        float w = x[i] * x[i];
        xl += w * x[i] * (float)l;
        ll += w * (float)l * (float)l;
    }
    bool changed = true;
    for (int round = 0; round < 5 && changed; round++) {
        changed = false;
        for (int i = 0; i < n; i++) {
            float w = x[i] * x[i], old = (float)(code[i] - half);
            float rest_xl = xl - w * x[i] * old;
            if (!(rest_xl > 0)) continue;
            float rest_ll = ll - w * old * old;
            int l = fp_clamp(fp_nearest(x[i] * rest_ll / rest_xl), -half, half - 1);
            if (l == code[i] - half) continue;
            rest_xl += w * x[i] * (float)l;
            rest_ll += w * (float)l * (float)l;
            if (rest_ll > 0 && rest_xl * rest_xl * ll > xl * xl * rest_ll) {
                code[i] = (uint8_t)(l + half);
                xl = rest_xl;
                ll = rest_ll;
                changed = true;
            }
        }
    }
    return ll > 0 ? xl / ll : 0;
}

static float offset_error(int n, const float *x, const float *weights, const uint8_t *code, float scale, float min, bool absolute)
{
    float sum = 0;
    for (int i = 0; i < n; i++) {
        float diff = scale * (float)code[i] + min - x[i];
        sum += weights[i] * (absolute ? fp_abs(diff) : diff * diff);
    }
    return sum;
}

float search_offset(int n, int top, const float *x, const float *weights, const search_grid *grid, uint8_t *code, float *min_out)
{
    float min = x[0], max = x[0], sum_w = weights[0], sum_x = sum_w * x[0];
    for (int i = 1; i < n; i++) {
        if (x[i] < min) min = x[i];
        if (x[i] > max) max = x[i];
        sum_w += weights[i];
        sum_x += weights[i] * x[i];
    }
    if (min > 0) min = 0;
    if (max <= min) {
        memset(code, 0, (size_t)n);
        *min_out = -min;
        return 0;
    }
    float inverse = (float)top / (max - min), scale = 1 / inverse;
    for (int i = 0; i < n; i++)
        code[i] = (uint8_t)fp_clamp(fp_nearest(inverse * (x[i] - min)), 0, top);
    float best = offset_error(n, x, weights, code, scale, min, grid->absolute);
    for (int k = 0; k <= grid->steps; k++) {
        uint8_t trial[32];
        /* `min` is that of the best trial so far: the reference divides the range that is left by it. */
        inverse = (grid->from + grid->step * (float)k + (float)top) / (max - min);
        float sum_l = 0, sum_l2 = 0, sum_xl = 0;
        for (int i = 0; i < n; i++) {
            trial[i] = (uint8_t)fp_clamp(fp_nearest(inverse * (x[i] - min)), 0, top);
            float l = (float)trial[i], w = weights[i];
            sum_l += w * l;
            sum_l2 += w * l * l;
            sum_xl += w * l * x[i];
        }
        float det = sum_w * sum_l2 - sum_l * sum_l;
        if (!(det > 0)) continue;
        float trial_scale = (sum_w * sum_xl - sum_x * sum_l) / det, trial_min = (sum_l2 * sum_x - sum_l * sum_xl) / det;
        if (trial_min > 0) {
            trial_min = 0;
            trial_scale = sum_xl / sum_l2;
        }
        float error = offset_error(n, x, weights, trial, trial_scale, trial_min, grid->absolute);
        if (error < best) {
            memcpy(code, trial, (size_t)n);
            best = error;
            scale = trial_scale;
            min = trial_min;
        }
    }
    *min_out = -min;
    return scale;
}

float search_positive(int n, int top, const float *x, const float *weights, uint8_t *code)
{
    float max = 0;
    for (int i = 0; i < n; i++)
        max = max > x[i] ? max : x[i];
    if (max < SEARCH_EPS) {
        memset(code, 0, (size_t)n);
        return 0;
    }
    float kept = (float)top / max, scale = 1 / kept, best = 0;
    for (int i = 0; i < n; i++) {
        float diff = x[i] - scale * (float)(uint8_t)fp_nearest(kept * x[i]);
        best += weights[i] * diff * diff;
    }
    for (int trial = -4; trial <= 4; trial++) {
        if (trial == 0) continue;
        float inverse = (0.1f * (float)trial + (float)top) / max, step = 1 / inverse, error = 0;
        for (int i = 0; i < n; i++) {
            int l = fp_nearest(inverse * x[i]);
            float diff = x[i] - step * (float)(l < top ? l : top);
            error += weights[i] * diff * diff;
        }
        if (error < best) {
            best = error;
            kept = inverse;
        }
    }
    float xl = 0, ll = 0;
    for (int i = 0; i < n; i++) {
        int l = fp_nearest(kept * x[i]);
        if (l > top) l = top;
        code[i] = (uint8_t)l;
        xl += weights[i] * x[i] * (float)l;
        ll += weights[i] * (float)l * (float)l;
    }
    bool changed = true;
    for (int round = 0; round < 5 && changed; round++) {
        changed = false;
        for (int i = 0; i < n; i++) {
            float w = weights[i], old = (float)code[i];
            float rest_xl = xl - w * x[i] * old, rest_ll = ll - w * old * old;
            if (!(rest_xl > 0 && rest_ll > 0)) continue;
            int l = fp_nearest(x[i] * rest_ll / rest_xl);
            if (l > top) l = top;
            if (l == code[i]) continue;
            rest_xl += w * x[i] * (float)l;
            rest_ll += w * (float)l * (float)l;
            if (rest_xl * rest_xl * ll > xl * xl * rest_ll) {
                code[i] = (uint8_t)l;
                xl = rest_xl;
                ll = rest_ll;
                changed = true;
            }
        }
    }
    return ll > 0 ? xl / ll : 0;
}
