#include "convert/digest.h"

static void finish(digest *d)
{
    XXH128_canonicalFromHash((XXH128_canonical_t *)d->out, XXH3_128bits_digest(d->state));
    digest_free(d);
}

smelt_status digest_start(digest *d, size_t first, size_t end, uint8_t *out, smelt_err *err)
{
    *d = (digest){.next = first, .end = end, .state = XXH3_createState()};
    d->out = out;
    if (!d->state) return smelt_oom(err);
    XXH3_128bits_reset(d->state);
    if (first == end) finish(d);
    return SMELT_OK;
}

void digest_free(digest *d)
{
    XXH3_freeState(d->state);
    d->state = NULL;
}

/* True if the caller is to hash unit d->next. */
static bool claim(digest *d, bool *done, size_t unit, bool finished)
{
    bool mine;
#pragma omp critical(smelt_digest)
    {
        if (finished) done[unit] = true;
        mine = !d->busy && d->next < d->end && done[d->next];
        if (mine) d->busy = true;
    }
    return mine;
}

/* Steps behind the unit that was hashed; true if the next one is the caller's as well. */
static bool step(digest *d, const bool *done)
{
    bool more;
#pragma omp critical(smelt_digest)
    {
        d->next++;
        more = d->next < d->end && done[d->next];
        if (!more) d->busy = false;
    }
    return more;
}

smelt_status digest_advance(digest *d, bool *done, size_t unit, const void *bytes, size_t n, digest_read_fn *read, void *user,
                            smelt_err *err)
{
    if (!claim(d, done, unit, bytes != NULL)) return SMELT_OK;
    const size_t end = d->end;
    size_t at;
    bool more;
    do {
        at = d->next;
        const void *p = bytes;
        size_t size = n;
        /* After a failure nobody goes on with this tensor, since it stays busy. */
        if (!bytes || at != unit) {
            SMELT_TRY(read(user, at, &p, &size, err));
            bytes = NULL; /* reading may have taken their place */
        }
        XXH3_128bits_update(d->state, p, size);
        if (at + 1 == end) finish(d);
        more = step(d, done);
    } while (more);
    return SMELT_OK;
}
