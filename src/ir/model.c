#include "ir/model.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/json.h"

void model_init(smelt_model *m)
{
    *m = (smelt_model){0};
    m->meta.arena = m->names.arena = &m->arena;
}

void model_free(smelt_model *m)
{
    while (m->maps) {
        smelt_map *next = m->maps->next;
        map_close(m->maps);
        m->maps = next;
    }
    json_decref(m->config);
    arena_free(&m->arena);
    *m = (smelt_model){0};
}

smelt_status model_map(smelt_model *m, const char *path, const smelt_map **out, smelt_err *err)
{
    smelt_map *map;
    SMELT_TRY(map_open(path, &map, err));
    map->next = m->maps;
    m->maps = map;
    *out = map;
    return SMELT_OK;
}

static bool name_ok(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7F) return false;
    return len > 0 && utf8_valid(name, len);
}

smelt_status model_add(smelt_model *m, const char *name, size_t len, const smelt_view *view, const char *file, uint64_t offset,
                       smelt_err *err)
{
    enum { NAME_MAX_BYTES = 4096 };
    if (len > NAME_MAX_BYTES)
        return smelt_fail(err, SMELT_E_LIMIT, "a tensor's name has %zu bytes, at most %d are accepted", len, NAME_MAX_BYTES);
    if (!name_ok(name, len))
        return smelt_fail(err, SMELT_E_CORRUPT, "a tensor's name is empty, no UTF-8 or has control characters");
    char *copy = arena_strndup(&m->arena, name, len);
    bool added;
    if (!copy || !arena_room(&m->arena, &m->tensors, m->n_tensors, &m->cap_tensors, sizeof *m->tensors) ||
        !strmap_add(&m->names, copy, len, m->n_tensors, &added))
        return smelt_oom(err);
    if (!added) return smelt_fail(err, SMELT_E_CORRUPT, "there are two tensors with the name '%s'", copy);
    m->tensors[m->n_tensors++] = (smelt_tensor){
        .name = copy,
        .origin = copy,
        .layer = -1,
        .dtype = view_dtype(view),
        .shape = *view_shape(view),
        .view = view,
        .file = file,
        .offset = offset,
    };
    return SMELT_OK;
}

smelt_status model_reindex(smelt_model *m, smelt_err *err)
{
    m->names = (smelt_strmap){.arena = &m->arena};
    for (size_t i = 0; i < m->n_tensors; i++) {
        bool added;
        const char *name = m->tensors[i].name;
        if (!strmap_add(&m->names, name, strlen(name), i, &added)) return smelt_oom(err);
        if (!added) return smelt_fail(err, SMELT_E_CORRUPT, "there are two tensors with the name '%s'", name);
    }
    return SMELT_OK;
}

const smelt_tensor *model_find(const smelt_model *m, const char *name)
{
    size_t i;
    return strmap_get(&m->names, name, strlen(name), &i) ? &m->tensors[i] : NULL;
}

smelt_status model_side(smelt_model *m, const char *name, const void *data, size_t size, smelt_err *err)
{
    char *copy = arena_strdup(&m->arena, name);
    if (!copy || !arena_room(&m->arena, &m->side, m->n_side, &m->cap_side, sizeof *m->side)) return smelt_oom(err);
    m->side[m->n_side++] = (smelt_side_file){copy, data, size};
    return SMELT_OK;
}

const smelt_side_file *model_side_find(const smelt_model *m, const char *name)
{
    for (size_t i = 0; i < m->n_side; i++)
        if (strcmp(m->side[i].name, name) == 0) return &m->side[i];
    return NULL;
}

const char *model_dir_name(const smelt_model *m, smelt_arena *arena)
{
    const char *title = m->title ? m->title : "";
    char real[PATH_MAX];
    if (*title && strcmp(title, ".") != 0 && strcmp(title, "..") != 0) return title;
    return path_base(arena, m->path && realpath(m->path, real) ? real : "");
}

uint64_t model_params(const smelt_model *model)
{
    uint64_t total = 0, n;
    for (size_t i = 0; i < model->n_tensors; i++)
        if (shape_elems(&model->tensors[i].shape, &n)) total += n;
    return total;
}

double bits_per_weight(uint64_t bytes, uint64_t params) { return params ? 8.0 * (double)bytes / (double)params : 0; }
