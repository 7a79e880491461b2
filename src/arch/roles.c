/* Canonical names: role, part and layer to text and back. */
#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "base/bytes.h"

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

/* A number of at most six digits without leading zeros; the count of its digits, 0 if there is none. */
static size_t number(const char *s, size_t len, int *out)
{
    size_t n = 0;
    *out = 0;
    for (; n < len && n < 7 && s[n] >= '0' && s[n] <= '9'; n++)
        *out = *out * 10 + (s[n] - '0');
    return n > 6 || (n > 1 && s[0] == '0') ? 0 : n;
}

bool name_match(const char *pattern, const char *stem, size_t len, int *layer, int *expert)
{
    *layer = *expert = -1;
    const char *end = stem + len;
    for (; *pattern; pattern++) {
        if (pattern[0] == '%') {
            size_t n = number(stem, (size_t)(end - stem), pattern[1] == 'L' ? layer : expert);
            if (!n) return false;
            stem += n;
            pattern++;
        } else if (stem == end || *stem++ != *pattern)
            return false;
    }
    return stem == end;
}

static const char layer_head[] = "blk.";

int name_layer(const char *name)
{
    const size_t head = sizeof layer_head - 1;
    if (strncmp(name, layer_head, head) != 0) return -1;
    int v = 0, digits = 0;
    const char *p = name + head;
    for (; *p >= '0' && *p <= '9' && digits < 7; p++, digits++)
        v = v * 10 + (*p - '0');
    return digits && digits < 7 && *p == '.' ? v : -1;
}

char *name_move(smelt_arena *arena, const char *name, int layer)
{
    const char *number = name + sizeof layer_head - 1;
    return arena_printf(arena, "%s%d%s", layer_head, layer, number + strspn(number, "0123456789"));
}

char *name_fill(smelt_arena *arena, const char *pattern, int layer, int expert, const char *suffix)
{
    smelt_buf b = {0};
    for (const char *p = pattern; *p; p++) {
        if (*p == '%')
            buf_printf(&b, "%d", *++p == 'L' ? layer : expert);
        else
            buf_u8(&b, (uint8_t)*p);
    }
    buf_put(&b, suffix, strlen(suffix));
    char *name = b.failed ? NULL : arena_strndup(arena, (const char *)b.data, b.size);
    buf_free(&b);
    return name;
}

char *role_name(smelt_arena *arena, smelt_role role, smelt_part part, int layer)
{
    return name_fill(arena, stems[role], layer, -1, parts[part]);
}

bool name_is_norm(const char *name)
{
    static const char suffix[] = "_norm.weight";
    const size_t n = strlen(name), len = sizeof suffix - 1;
    return n >= len && memcmp(name + n - len, suffix, len) == 0;
}

bool role_parse(const char *name, smelt_role *role, smelt_part *part, int *layer)
{
    size_t len;
    int expert;
    *part = name_part(name, &len);
    for (int r = 1; r < SMELT_R_COUNT; r++)
        if (name_match(stems[r], name, len, layer, &expert)) {
            *role = (smelt_role)r;
            return true;
        }
    *role = SMELT_R_NONE;
    *layer = -1;
    return false;
}
