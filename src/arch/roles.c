/* Canonical names: role, part and layer to text and back. */
#include <stdio.h>
#include <string.h>

#include "arch/arch.h"

static const char *const stems[SMELT_R_COUNT] = {
    [SMELT_R_NONE] = "",
#define SMELT_ROLE(id, stem) [SMELT_R_##id] = (stem),
#include "arch/roles.def"
#undef SMELT_ROLE
};

static const char *const parts[] = {[SMELT_PART_NONE] = "", [SMELT_PART_WEIGHT] = ".weight", [SMELT_PART_BIAS] = ".bias"};

const char *role_stem(smelt_role role) { return stems[role]; }
const char *part_suffix(smelt_part part) { return parts[part]; }

smelt_part name_part(const char *name, size_t *stem_len)
{
    size_t n = strlen(name);
    for (size_t p = 1; p < sizeof parts / sizeof *parts; p++) {
        size_t len = strlen(parts[p]);
        if (n > len && memcmp(name + n - len, parts[p], len) == 0) {
            *stem_len = n - len;
            return (smelt_part)p;
        }
    }
    *stem_len = n;
    return SMELT_PART_NONE;
}

bool name_match(const char *pattern, const char *stem, size_t len, int *layer)
{
    *layer = -1;
    const char *hole = strstr(pattern, "%L");
    if (!hole) return strlen(pattern) == len && memcmp(pattern, stem, len) == 0;
    size_t head = (size_t)(hole - pattern), tail = strlen(hole + 2);
    if (len <= head + tail || memcmp(pattern, stem, head) != 0 || memcmp(stem + len - tail, hole + 2, tail) != 0) return false;
    size_t digits = len - head - tail;
    if (digits > 6 || (digits > 1 && stem[head] == '0')) return false;
    int v = 0;
    for (size_t i = 0; i < digits; i++) {
        if (stem[head + i] < '0' || stem[head + i] > '9') return false;
        v = v * 10 + (stem[head + i] - '0');
    }
    *layer = v;
    return true;
}

int name_layer(const char *name)
{
    static const char head[] = "blk.";
    if (strncmp(name, head, sizeof head - 1) != 0) return -1;
    int v = 0, digits = 0;
    const char *p = name + sizeof head - 1;
    for (; *p >= '0' && *p <= '9' && digits < 7; p++, digits++)
        v = v * 10 + (*p - '0');
    return digits && digits < 7 && *p == '.' ? v : -1;
}

char *name_fill(smelt_arena *arena, const char *pattern, int layer, const char *suffix)
{
    const char *hole = strstr(pattern, "%L");
    if (!hole) return arena_printf(arena, "%s%s", pattern, suffix);
    return arena_printf(arena, "%.*s%d%s%s", (int)(hole - pattern), pattern, layer, hole + 2, suffix);
}

char *role_name(smelt_arena *arena, smelt_role role, smelt_part part, int layer)
{
    return name_fill(arena, stems[role], layer, parts[part]);
}

bool role_parse(const char *name, smelt_role *role, smelt_part *part, int *layer)
{
    size_t len;
    *part = name_part(name, &len);
    for (int r = 1; r < SMELT_R_COUNT; r++)
        if (name_match(stems[r], name, len, layer)) {
            *role = (smelt_role)r;
            return true;
        }
    *role = SMELT_R_NONE;
    *layer = -1;
    return false;
}
