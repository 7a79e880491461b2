/* The searches of quant/search.h with a group in each lane. Every lane walks its group in order with the baseline's operations,
 * so its sums round as the baseline's do; branches become selections, and a lane that is done goes on without effect.
 *
 * SETS vectors of groups are searched at a time, since the steps of one trial wait for each other: element i of set s is
 * column i * SETS + s.
 *
 * Codes are rounded by vf_round, which is fp_nearest below LIMIT only. Lanes whose arithmetic leaves that range, by infinite,
 * NaN, subnormal or just adverse values, are marked `odd`: what is said of them is void, and the baseline encodes them. */
#ifndef SMELT_QUANT_SIMD_SEARCH_LANES_H
#define SMELT_QUANT_SIMD_SEARCH_LANES_H

#include <float.h>

#include "quant/search.h"
#include "quant/simd/lanes.h"

enum { SETS = 2 };
#define LIMIT 0x1p22f

static inline vf bounded(vf v, float low, float high) { return vf_not_below(vf_not_above(v, high), low); }

/* Codes are nearest(inverse * (x - base)), at least 0 and at most top; the rest as search_offset gives it. */
typedef struct offset_found {
    vf scale, min, inverse, base, sum_w;
    vm odd;
} offset_found;

LANE_INLINE void lanes_offset(int n, int top, const vf *x, const vf *w, const search_grid *grid, offset_found *found)
{
    const vf zero = vf_set(0), limit = vf_set(LIMIT);
    vf l[32 * SETS], low[SETS], high[SETS], min[SETS], sum_w[SETS], sum_x[SETS], best[SETS], scale[SETS], kept[SETS], base[SETS];
    vf inverse[SETS], error[SETS], sum_l[SETS], sum_l2[SETS], sum_xl[SETS];
    vm odd[SETS], flat[SETS];
    for (int s = 0; s < SETS; s++) {
        low[s] = high[s] = x[s];
        sum_w[s] = w[s];
        sum_x[s] = vf_mul(w[s], x[s]);
    }
    for (int i = 1; i < n; i++)
        for (int s = 0; s < SETS; s++) {
            const vf xi = x[i * SETS + s], wi = w[i * SETS + s];
            low[s] = vf_min(xi, low[s]);
            high[s] = vf_max(xi, high[s]);
            sum_w[s] = vf_add(sum_w[s], wi);
            sum_x[s] = vf_add(sum_x[s], vf_mul(wi, xi));
        }
    for (int s = 0; s < SETS; s++) {
        min[s] = base[s] = vf_select(vf_gt(low[s], zero), zero, low[s]);
        flat[s] = vf_le(high[s], min[s]);
        odd[s] = vf_ne(sum_x[s], sum_x[s]);
        kept[s] = vf_div(vf_set((float)top), vf_sub(high[s], min[s]));
        odd[s] = vm_or(odd[s], vm_not(vf_lt(vf_mul(kept[s], vf_sub(high[s], min[s])), limit)));
        scale[s] = vf_div(vf_set(1), kept[s]);
        error[s] = zero;
    }
    for (int i = 0; i < n; i++)
        for (int s = 0; s < SETS; s++) {
            const vf xi = x[i * SETS + s], code = bounded(vf_round(vf_mul(kept[s], vf_sub(xi, min[s]))), 0, (float)top);
            const vf diff = vf_sub(vf_add(vf_mul(scale[s], code), min[s]), xi);
            error[s] = vf_add(error[s], vf_mul(w[i * SETS + s], grid->absolute ? vf_abs(diff) : vf_mul(diff, diff)));
        }
    for (int s = 0; s < SETS; s++)
        best[s] = error[s];
    for (int k = 0; k <= grid->steps; k++) {
        const vf range = vf_set(grid->from + grid->step * (float)k + (float)top);
        for (int s = 0; s < SETS; s++) {
            inverse[s] = vf_div(range, vf_sub(high[s], min[s]));
            /* All codes lie between those of the smallest and the largest element. */
            const vm fine = vm_and(vf_lt(vf_abs(vf_mul(inverse[s], vf_sub(high[s], min[s]))), limit),
                                   vf_lt(vf_abs(vf_mul(inverse[s], vf_sub(low[s], min[s]))), limit));
            odd[s] = vm_or(odd[s], vm_not(fine));
            sum_l[s] = sum_l2[s] = sum_xl[s] = error[s] = zero;
        }
        for (int i = 0; i < n; i++)
            for (int s = 0; s < SETS; s++) {
                const vf xi = x[i * SETS + s];
                const vf code = bounded(vf_round(vf_mul(inverse[s], vf_sub(xi, min[s]))), 0, (float)top);
                const vf wl = vf_mul(w[i * SETS + s], code);
                l[i * SETS + s] = code;
                sum_l[s] = vf_add(sum_l[s], wl);
                sum_l2[s] = vf_add(sum_l2[s], vf_mul(wl, code));
                sum_xl[s] = vf_add(sum_xl[s], vf_mul(wl, xi));
            }
        vf trial_scale[SETS], trial_min[SETS];
        vm solved[SETS];
        for (int s = 0; s < SETS; s++) {
            const vf det = vf_sub(vf_mul(sum_w[s], sum_l2[s]), vf_mul(sum_l[s], sum_l[s]));
            solved[s] = vm_andnot(vf_gt(det, zero), flat[s]);
            trial_scale[s] = vf_div(vf_sub(vf_mul(sum_w[s], sum_xl[s]), vf_mul(sum_x[s], sum_l[s])), det);
            trial_min[s] = vf_div(vf_sub(vf_mul(sum_l2[s], sum_x[s]), vf_mul(sum_l[s], sum_xl[s])), det);
            const vm above = vf_gt(trial_min[s], zero);
            if (vm_any(above)) {
                trial_min[s] = vf_select(above, zero, trial_min[s]);
                trial_scale[s] = vf_select(above, vf_div(sum_xl[s], sum_l2[s]), trial_scale[s]);
            }
        }
        for (int i = 0; i < n; i++)
            for (int s = 0; s < SETS; s++) {
                const vf diff = vf_sub(vf_add(vf_mul(trial_scale[s], l[i * SETS + s]), trial_min[s]), x[i * SETS + s]);
                error[s] = vf_add(error[s], vf_mul(w[i * SETS + s], grid->absolute ? vf_abs(diff) : vf_mul(diff, diff)));
            }
        for (int s = 0; s < SETS; s++) {
            const vm better = vm_and(solved[s], vf_lt(error[s], best[s]));
            best[s] = vf_select(better, error[s], best[s]);
            scale[s] = vf_select(better, trial_scale[s], scale[s]);
            kept[s] = vf_select(better, inverse[s], kept[s]);
            base[s] = vf_select(better, min[s], base[s]);
            min[s] = vf_select(better, trial_min[s], min[s]);
        }
    }
    for (int s = 0; s < SETS; s++) {
        found[s].scale = vf_select(flat[s], zero, scale[s]);
        found[s].min = vf_mul(vf_set(-1), min[s]);
        found[s].inverse = vf_select(flat[s], zero, kept[s]);
        found[s].base = base[s];
        found[s].sum_w = sum_w[s];
        found[s].odd = vm_andnot(odd[s], flat[s]);
    }
}

/* The first element of the largest magnitude, 0 where none is above 0, and that magnitude; marks lanes with one that is not
 * finite. */
LANE_INLINE void lanes_extreme(int n, int stride, const vf *x, vf *top, vf *top_abs, vm *odd)
{
    vi most = vi_set(0);
    *top = *top_abs = vf_set(0);
    for (int i = 0; i < n; i++) {
        const vf v = x[i * stride], mag = vf_abs(v);
        const vm more = vf_gt(mag, *top_abs);
        *top = vf_select(more, v, *top);
        *top_abs = vf_select(more, mag, *top_abs);
        most = vi_max(most, vi_bits(mag)); /* magnitudes are ordered like their bits, with NaN at the end */
    }
    *odd = vi_gt(most, vi_set(0x7F7FFFFF));
}

/* Codes are nearest(inverse * x) + half, in [0, 2 * half), and 0 where inverse is. */
typedef struct symmetric_found {
    vf scale, inverse;
    vm odd;
} symmetric_found;

/* Correlations of `trials` trial scales at once: independent chains of additions. A quotient's magnitude is at most half +
 * 0.1 * trial, so that not every trial can reach a bound. */
LANE_INLINE void lanes_correlate(int n, int half, int stride, const vf *x, const vf *wx, const vf *w, bool bound_high,
                                 bool bound_low, int trials, const vf *inverse, vf *xl, vf *ll)
{
    for (int t = 0; t < trials; t++)
        xl[t] = ll[t] = vf_set(0);
    for (int i = 0; i < n; i++)
        for (int t = 0; t < trials; t++) {
            vf l = vf_round(vf_mul(inverse[t], x[i * stride]));
            if (bound_high) l = vf_not_above(l, (float)(half - 1));
            if (bound_low) l = vf_not_below(l, (float)-half);
            xl[t] = vf_add(xl[t], vf_mul(wx[i], l));
            ll[t] = vf_add(ll[t], vf_mul(vf_mul(w[i * stride], l), l));
        }
}

typedef struct symmetric_state {
    vf top, kept, scale, best;
} symmetric_state;

/* Trials first … last, of which zero is not one. */
LANE_INLINE void lanes_trials(int n, int half, int stride, const vf *x, const vf *wx, const vf *w, bool bound_high, bool bound_low,
                              int first, int trials, symmetric_state *s)
{
    vf inverse[4], xl[4], ll[4];
    for (int t = 0; t < trials; t++)
        inverse[t] = vf_div(vf_set(-((float)half + 0.1f * (float)(first + t))), s->top);
    lanes_correlate(n, half, stride, x, wx, w, bound_high, bound_low, trials, inverse, xl, ll);
    for (int t = 0; t < trials; t++) {
        const vm better = vm_and(vf_gt(ll[t], vf_set(0)), vf_gt(vf_mul(xl[t], xl[t]), vf_mul(s->best, ll[t])));
        s->kept = vf_select(better, inverse[t], s->kept);
        s->scale = vf_select(better, vf_div(xl[t], ll[t]), s->scale);
        s->best = vf_select(better, vf_mul(s->scale, xl[t]), s->best);
    }
}

LANE_INLINE void lanes_symmetric(int n, int half, int stride, const vf *x, const vf *w, symmetric_found *found)
{
    const vf zero = vf_set(0);
    symmetric_state s;
    vf wx[32], top_abs, xl, ll;
    lanes_extreme(n, stride, x, &s.top, &top_abs, &found->odd);
    for (int i = 0; i < n; i++)
        wx[i] = vf_mul(w[i * stride], x[i * stride]);
    /* Lanes of zeros divide by zero here; their results are dropped below. */
    s.kept = vf_div(vf_set((float)-half), s.top);
    lanes_correlate(n, half, stride, x, wx, w, true, false, 1, &s.kept, &xl, &ll);
    s.scale = vf_select(vf_ne(ll, zero), vf_div(xl, ll), zero);
    s.best = vf_mul(s.scale, xl);
    lanes_trials(n, half, stride, x, wx, w, false, false, -9, 4, &s);
    lanes_trials(n, half, stride, x, wx, w, true, false, -5, 4, &s);
    lanes_trials(n, half, stride, x, wx, w, true, false, -1, 1, &s);
    lanes_trials(n, half, stride, x, wx, w, true, false, 1, 3, &s);
    lanes_trials(n, half, stride, x, wx, w, true, true, 4, 3, &s);
    lanes_trials(n, half, stride, x, wx, w, true, true, 7, 3, &s);
    const vm some = vf_ge(top_abs, vf_set(SEARCH_EPS));
    found->scale = vf_select(some, s.scale, zero);
    found->odd = vm_or(found->odd, vf_ne(found->scale, found->scale)); /* which NaN it is depends on the order of operands */
    found->inverse = vf_select(some, s.kept, zero);
}

/* A group's state in search_descent: codes are nearest(inverse * x) at first, and xl and ll the sums of w*x*l and w*l*l. */
typedef struct descent {
    vf inverse, xl, ll;
    vm zero; /* lanes of zeros: their codes are -half, and their scale is zero */
    vm odd;
} descent;

/* The first element of the largest magnitude, which only a tie of both signs needs to look for, and that magnitude. */
LANE_INLINE void lanes_peak(int n, int stride, const vf *x, vf *top, vf *top_abs)
{
    vf high = x[0], low = x[0];
    vm ignored;
    for (int i = 1; i < n; i++) {
        high = vf_max(x[i * stride], high);
        low = vf_min(x[i * stride], low);
    }
    const vf depth = vf_sub(vf_set(0), low);
    *top_abs = vf_max(high, depth);
    *top = vf_select(vf_gt(high, depth), high, low);
    if (vm_any(vm_and(vf_eq(high, depth), vf_gt(high, vf_set(0))))) lanes_extreme(n, stride, x, top, top_abs, &ignored);
}

/* Lanes with an element that is not finite, or whose sums overflow, are odd. */
LANE_INLINE void lanes_start(int n, int half, int stride, const vf *x, vf *w, vf *wx, vf *code, descent *d)
{
    vf top, top_abs;
    lanes_peak(n, stride, x, &top, &top_abs);
    d->zero = vf_lt(top_abs, vf_set(SEARCH_EPS));
    d->inverse = vf_div(vf_set((float)-half), top);
    d->xl = d->ll = vf_set(0);
    for (int i = 0; i < n * stride; i += stride) {
        w[i] = vf_mul(x[i], x[i]);
        wx[i] = vf_mul(w[i], x[i]);
        code[i] = vf_not_above(vf_round(vf_mul(d->inverse, x[i])), (float)(half - 1));
        d->xl = vf_add(d->xl, vf_mul(wx[i], code[i]));
        d->ll = vf_add(d->ll, vf_mul(vf_mul(w[i], code[i]), code[i]));
    }
    d->odd = vm_andnot(vm_not(vf_le(d->ll, vf_set(FLT_MAX))), d->zero);
}

/* True in the lanes where another round of search_descent with codes of three bits is certain to change nothing, as it is for most
 * groups: the quotient that it rounds is compared with the code's interval without dividing, and with a margin for what that
 * changes. Beyond the first and the last code there is no bound but LIMIT. */
LANE_INLINE vm lanes_settled(int n, int stride, const vf *x, const vf *w, const vf *wx, const vf *code, const descent *d)
{
    static const float low[8] = {-0.499f, 0.501f, 1.501f, 2.501f, -LIMIT / 2, -3.499f, -2.499f, -1.499f};
    static const float high[8] = {0.499f, 1.499f, 2.499f, LIMIT / 2, -3.501f, -2.501f, -1.501f, -0.501f};
    const vf zero = vf_set(0);
    vm settled = vf_eq(zero, zero);
    for (int i = 0; i < n * stride; i += stride) {
        const vf rest_xl = vf_sub(d->xl, vf_mul(wx[i], code[i])), rest_ll = vf_sub(d->ll, vf_mul(vf_mul(w[i], code[i]), code[i]));
        const vf product = vf_mul(x[i], rest_ll);
        const vi at = vi_bits(vf_add(code[i], vf_set(0x1.8p23f)));
        const vm above = vf_le(vf_mul(rest_xl, vf_pick(low, at)), product),
                 below = vf_le(product, vf_mul(rest_xl, vf_pick(high, at)));
        settled = vm_and(settled, vm_or(vm_and(above, below), vf_le(rest_xl, zero)));
    }
    return settled;
}

/* A round of search_descent over SETS sets of groups, element i of set s being column i * sets + s; code[i] is the baseline's less
 * half. `moved` tells the lanes where a code changed. */
LANE_INLINE void lanes_round(int n, int half, int sets, const vf *x, const vf *w, const vf *wx, vf *code, descent *d, vm *moved)
{
    const vf zero = vf_set(0), limit = vf_set(LIMIT);
    for (int s = 0; s < sets; s++)
        moved[s] = vf_lt(zero, zero);
    for (int i = 0; i < n; i++)
        for (int s = 0; s < sets; s++) {
            const int k = i * sets + s;
            const vf old = code[k];
            vf rest_xl = vf_sub(d[s].xl, vf_mul(wx[k], old)), rest_ll = vf_sub(d[s].ll, vf_mul(vf_mul(w[k], old), old));
            const vf quotient = vf_div(vf_mul(x[k], rest_ll), rest_xl);
            vm move = vf_gt(rest_xl, zero);
            d[s].odd = vm_or(d[s].odd, vm_andnot(move, vf_lt(vf_abs(quotient), limit)));
            const vf l = bounded(vf_round(quotient), (float)-half, (float)(half - 1));
            move = vm_and(move, vf_ne(l, old));
            rest_xl = vf_add(rest_xl, vf_mul(wx[k], l));
            rest_ll = vf_add(rest_ll, vf_mul(vf_mul(w[k], l), l));
            const vf gain = vf_mul(vf_mul(rest_xl, rest_xl), d[s].ll), had = vf_mul(vf_mul(d[s].xl, d[s].xl), rest_ll);
            move = vm_and(move, vm_and(vf_gt(rest_ll, zero), vf_gt(gain, had)));
            code[k] = vf_select(move, l, old);
            d[s].xl = vf_select(move, rest_xl, d[s].xl);
            d[s].ll = vf_select(move, rest_ll, d[s].ll);
            moved[s] = vm_or(moved[s], move);
        }
}

LANE_INLINE vf lanes_scale(const descent *d)
{
    const vf zero = vf_set(0);
    return vf_select(vm_andnot(vf_gt(d->ll, zero), d->zero), vf_div(d->xl, d->ll), zero);
}

typedef struct positive_found {
    vf scale;
    vm odd;
} positive_found;

LANE_INLINE void lanes_positive(int n, int top, const vf *x, const vf *w, vf *code, positive_found *found)
{
    const vf zero = vf_set(0), limit = vf_set(LIMIT), highest = vf_set((float)top);
    vf max = zero, best = zero, xl = zero, ll = zero;
    vm fine = vf_eq(zero, zero);
    for (int i = 0; i < n; i++) {
        max = vf_max(max, x[i]);
        fine = vm_and(fine, vm_and(vf_ge(x[i], zero), vf_le(x[i], vf_set(FLT_MAX))));
    }
    const vm none = vf_lt(max, vf_set(SEARCH_EPS));
    vf kept = vf_div(highest, max);
    const vf scale = vf_div(vf_set(1), kept);
    for (int i = 0; i < n; i++) {
        const vf diff = vf_sub(x[i], vf_mul(scale, vf_round(vf_mul(kept, x[i]))));
        best = vf_add(best, vf_mul(vf_mul(w[i], diff), diff));
    }
    for (int trial = -4; trial <= 4; trial++) {
        if (trial == 0) continue;
        const vf inverse = vf_div(vf_set(0.1f * (float)trial + (float)top), max), step = vf_div(vf_set(1), inverse);
        vf error = zero;
        for (int i = 0; i < n; i++) {
            const vf diff = vf_sub(x[i], vf_mul(step, vf_min(vf_round(vf_mul(inverse, x[i])), highest)));
            error = vf_add(error, vf_mul(vf_mul(w[i], diff), diff));
        }
        const vm better = vf_lt(error, best);
        best = vf_select(better, error, best);
        kept = vf_select(better, inverse, kept);
    }
    for (int i = 0; i < n; i++) {
        code[i] = vf_min(vf_round(vf_mul(kept, x[i])), highest);
        xl = vf_add(xl, vf_mul(vf_mul(w[i], x[i]), code[i]));
        ll = vf_add(ll, vf_mul(vf_mul(w[i], code[i]), code[i]));
    }
    bool changed = true;
    for (int round = 0; round < 5 && changed; round++) {
        changed = false;
        for (int i = 0; i < n; i++) {
            const vf old = code[i], wx = vf_mul(w[i], x[i]);
            vf rest_xl = vf_sub(xl, vf_mul(wx, old)), rest_ll = vf_sub(ll, vf_mul(vf_mul(w[i], old), old));
            vm move = vm_and(vf_gt(rest_xl, zero), vf_gt(rest_ll, zero));
            const vf quotient = vf_div(vf_mul(x[i], rest_ll), rest_xl), l = vf_min(vf_round(quotient), highest);
            fine = vm_and(fine, vm_not(vm_andnot(move, vf_lt(vf_abs(quotient), limit))));
            move = vm_and(move, vf_ne(l, old));
            rest_xl = vf_add(rest_xl, vf_mul(wx, l));
            rest_ll = vf_add(rest_ll, vf_mul(vf_mul(w[i], l), l));
            move = vm_and(move, vf_gt(vf_mul(vf_mul(rest_xl, rest_xl), ll), vf_mul(vf_mul(xl, xl), rest_ll)));
            if (!vm_any(move)) continue;
            code[i] = vf_select(move, l, old);
            xl = vf_select(move, rest_xl, xl);
            ll = vf_select(move, rest_ll, ll);
            changed = true;
        }
    }
    for (int i = 0; i < n; i++)
        code[i] = vf_select(none, zero, code[i]);
    found->scale = vf_select(vm_andnot(vf_gt(ll, zero), none), vf_div(xl, ll), zero);
    found->odd = vm_not(vm_or(fine, none));
}

#endif
