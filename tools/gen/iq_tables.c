/* Writes quant/iq_near.h's tables as C to stdout: for every code that a grid lacks, the grid's points around it. Run by the build.
 * Which points those are, and their order, is ggml's (iq2xs_init_impl, iq3xs_init_impl): all points at the nearest `rings`
 * distances, nearest first, and by number where distances are equal. */
#include <stdint.h>
#include <stdio.h>

#include "quant/iq_points.inc"

enum { MAX_POINTS = 2048, MAX_DISTANCE = 4 * 7 * 7, PAD = 8 };

typedef struct grid {
    const char *name;
    const uint16_t *points;
    int n, elems, bits, levels, rings;
} grid;

#define GRID(name, elems, bits, levels, rings) \
    { \
#name, name##_points, sizeof name##_points / sizeof *name##_points, elems, bits, levels, rings \
    }
static const grid grids[] = {
    GRID(iq2_xxs, 8, 2, 3, 2), GRID(iq2_xs, 8, 2, 3, 2),  GRID(iq2_s, 8, 2, 3, 1),
    GRID(iq1, 8, 2, 3, 3),     GRID(iq3_xxs, 4, 3, 8, 2), GRID(iq3_s, 4, 3, 8, 3),
};

static int level(const grid *g, unsigned code, int i) { return (int)(code >> (g->bits * i) & ((1U << g->bits) - 1)); }

static int distance(const grid *g, unsigned a, unsigned b)
{
    int sum = 0;
    for (int i = 0; i < g->elems; i++) {
        const int diff = level(g, a, i) - level(g, b, i);
        sum += diff * diff;
    }
    return sum;
}

/* Numbers of the points around a code, or the code's own number alone if it is a point (*exact). */
static int neighbours(const grid *g, unsigned code, int *found, int *exact)
{
    static int at[MAX_POINTS];
    int n = 0, rings = 0, count[MAX_DISTANCE + 1] = {0};
    for (int p = 0; p < g->n; p++) {
        at[p] = distance(g, code, g->points[p]);
        count[at[p]]++;
    }
    *exact = count[0] > 0;
    const int wanted = *exact ? 1 : g->rings;
    for (int d = 0; d <= MAX_DISTANCE && rings < wanted; d++) {
        if (count[d] == 0) continue;
        rings++;
        for (int p = 0; p < g->n; p++)
            if (at[p] == d) found[n++] = p;
    }
    return n;
}

static void write_tables(const grid *g)
{
    static uint32_t map[6561];
    static int point[6561];
    static int found[MAX_POINTS + PAD];
    int codes = 1, lists = 0;
    for (int i = 0; i < g->elems; i++)
        codes *= g->levels;
    printf("static const uint16_t %s_lists[] = {", g->name);
    for (int c = 0; c < codes; c++) {
        unsigned code = 0;
        for (int i = 0, rest = c; i < g->elems; i++, rest /= g->levels)
            code |= (unsigned)(rest % g->levels) << (g->bits * i);
        int exact, n = neighbours(g, code, found, &exact);
        point[c] = exact ? found[0] : 0;
        if (exact) {
            map[c] = code;
            continue;
        }
        map[c] = (uint32_t)lists | (uint32_t)n << 16;
        for (int j = 0; j < (n + PAD - 1) / PAD * PAD; j++)
            printf("%s%d,", j == 0 ? "\n" : "", g->points[found[j < n ? j : 0]]);
        lists += (n + PAD - 1) / PAD;
    }
    printf("};\nstatic const uint32_t %s_map[%d] = {", g->name, codes);
    for (int c = 0; c < codes; c++)
        printf("%s%u,", c % 16 == 0 ? "\n" : "", (unsigned)map[c]);
    printf("};\nstatic const uint16_t %s_point[%d] = {", g->name, codes);
    for (int c = 0; c < codes; c++)
        printf("%s%d,", c % 16 == 0 ? "\n" : "", point[c]);
    printf("};\nconst iq_near iq_near_%s = {%s_map, %s_lists, %s_point};\n", g->name, g->name, g->name, g->name);
}

int main(void)
{
    puts("#include \"quant/iq_near.h\"");
    for (unsigned k = 0; k < sizeof grids / sizeof *grids; k++)
        write_tables(&grids[k]);
    return fflush(stdout) == 0 ? 0 : 4;
}
