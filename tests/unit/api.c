/* The public API as its users see it. */
#include "smelt.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scratch.h"

static scratch work;

static int start(void **state)
{
    (void)state;
    return scratch_open(&work) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    scratch_close(&work);
    return 0;
}

/* A safetensors file of one float32 tensor "w" of 2 x 4, one of which is NaN. In `path`. */
static void write_source(char *path)
{
    static const char header[] = "{\"w\":{\"dtype\":\"F32\",\"shape\":[2,4],\"data_offsets\":[0,32]}}";
    const float values[8] = {1, 2, 3, 4, 5, NAN, 7, 8};
    uint8_t file[8 + sizeof header - 1 + sizeof values] = {sizeof header - 1};
    memcpy(file + 8, header, sizeof header - 1);
    memcpy(file + 8 + sizeof header - 1, values, sizeof values);
    snprintf(path, 512, "%s", scratch_write(&work, "source.safetensors", file, sizeof file));
}

static float element(const char *path, uint64_t i)
{
    smelt_model *model;
    float values[8] = {0};
    smelt_err err = {0};
    assert_int_equal(smelt_model_open(path, &model, &err), SMELT_OK);
    assert_int_equal(smelt_tensor_read(smelt_model_find(model, "w"), 0, 8, values, &err), SMELT_OK);
    smelt_model_close(model);
    return values[i];
}

static void values_that_are_not_finite_stay_unless_they_are_replaced(void **state)
{
    (void)state;
    char src[512], dst[512];
    smelt_err err = {0};
    write_source(src);
    snprintf(dst, sizeof dst, "%s", scratch_path(&work, "out.safetensors"));
    assert_int_equal(smelt_convert(src, dst, &(smelt_convert_opts){.type = "f16"}, &err), SMELT_OK);
    assert_true(isnan(element(dst, 5)));
    const smelt_convert_opts replacing = {.type = "f16", .replace_nonfinite = true, .replacement = 0.5F};
    assert_int_equal(smelt_convert(src, dst, &replacing, &err), SMELT_OK);
    assert_true(element(dst, 5) == 0.5F && element(dst, 4) == 5);
    const smelt_convert_opts absurd = {.type = "f16", .replace_nonfinite = true, .replacement = INFINITY};
    assert_int_equal(smelt_convert(src, dst, &absurd, &err), SMELT_E_USAGE);
}

static void a_manifest_says_what_was_done(void **state)
{
    (void)state;
    char src[512], dst[512], manifest[512], text[4096];
    smelt_err err = {0};
    write_source(src);
    snprintf(dst, sizeof dst, "%s", scratch_path(&work, "out.safetensors"));
    snprintf(manifest, sizeof manifest, "%s", scratch_path(&work, "out.json"));
    const smelt_convert_opts opts = {.type = "f16", .replace_nonfinite = true, .replacement = 0.5F, .manifest = manifest};
    assert_int_equal(smelt_convert(src, dst, &opts, &err), SMELT_OK);
    FILE *f = fopen(manifest, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    static const char *const said[] = {"\"command\": \"convert\"", "\"replace-nonfinite\": \"0.5\"",
                                       "\"type\": \"f16\"",        "\"given\": \"f16\"",
                                       "\"replaced\": 1",          "\"xxh3_128\": \""};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        if (!strstr(text, said[i])) fail_msg("no %s in %s", said[i], text);
    const smelt_convert_opts onto_itself = {.manifest = dst};
    assert_int_equal(smelt_convert(src, dst, &onto_itself, &err), SMELT_E_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_that_are_not_finite_stay_unless_they_are_replaced),
        cmocka_unit_test(a_manifest_says_what_was_done),
    };
    return cmocka_run_group_tests(tests, start, end);
}
