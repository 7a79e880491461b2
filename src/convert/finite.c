#include "convert/finite.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"

static const uint32_t EXPONENT = 0x7F800000;

static bool finite_one(float x) { return (f32_bits(x) & EXPONENT) != EXPONENT; }

uint64_t finite_until(const float *x, uint64_t n)
{
    enum { STEP = 256 }; /* without a branch inside, so that compilers make vectors of it */
    uint64_t i = 0;
    for (; n - i >= STEP; i += STEP) {
        uint32_t sign = 0;
        /* An exponent of all ones, and no other, is carried into the sign by one more. */
        for (int k = 0; k < STEP; k++)
            sign |= (f32_bits(x[i + (uint64_t)k]) & EXPONENT) + (EXPONENT & -EXPONENT);
        if (sign >> 31) break;
    }
    while (i < n && finite_one(x[i]))
        i++;
    return i;
}

uint64_t finite_replace(float *x, uint64_t n, float value)
{
    uint64_t count = 0;
    for (uint64_t i = finite_until(x, n); i < n; i += finite_until(x + i, n - i)) {
        x[i] = value;
        count++;
    }
    return count;
}

/* "row 3, column 17"; "element 5" of a vector, "index [1, 3, 17]" where there are more dimensions. */
static const char *place(const smelt_tensor *t, uint64_t index, char *buf, size_t size)
{
    uint64_t at[SMELT_MAX_DIMS] = {0};
    const smelt_shape *s = &t->shape;
    for (int d = s->n - 1; d >= 0; d--) {
        at[d] = index % s->dim[d];
        index /= s->dim[d];
    }
    if (s->n == 2)
        snprintf(buf, size, "row %" PRIu64 ", column %" PRIu64, at[0], at[1]);
    else if (s->n < 2)
        snprintf(buf, size, "element %" PRIu64, at[0]);
    else {
        size_t used = 0;
        for (int d = 0; d < s->n && used < size; d++)
            used +=
                (size_t)snprintf(buf + used, size - used, "%s%" PRIu64 "%s", d ? ", " : "index [", at[d], d == s->n - 1 ? "]" : "");
    }
    return buf;
}

static const char *spell(float value) { return isnan(value) ? "NaN" : value < 0 ? "-infinity" : "infinity"; }

smelt_status finite_fail(const smelt_tensor *t, uint64_t index, float value, smelt_dtype type, smelt_err *err)
{
    char buf[256];
    return smelt_fail(err, SMELT_E_CORRUPT,
                      "tensor '%s' has %s at %s, which %s cannot hold; --replace-nonfinite 0 puts 0 in the place of such values",
                      t->name, spell(value), place(t, index, buf, sizeof buf), smelt_dtype_get(type)->name);
}

smelt_status finite_fail_scale(const smelt_tensor *t, uint64_t index, smelt_err *err)
{
    char buf[256];
    return smelt_fail(
        err, SMELT_E_CORRUPT,
        "tensor '%s': the %s block at %s has a scale that is not finite; --replace-nonfinite 0 puts 0 in the place of its values",
        t->name, smelt_dtype_get(t->dtype)->name, place(t, index, buf, sizeof buf));
}

smelt_status finite_fail_large(const smelt_tensor *t, uint64_t index, float value, smelt_dtype type, smelt_err *err)
{
    char buf[256];
    return smelt_fail(err, SMELT_E_CORRUPT,
                      "tensor '%s' has %g at %s, too large for the scales of %s; --tensor-type gives it another type", t->name,
                      (double)value, place(t, index, buf, sizeof buf), smelt_dtype_get(type)->name);
}
