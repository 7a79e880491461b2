#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/io.h"
#include "scratch.h"

static int setup(void **state)
{
    scratch *s = test_calloc(1, sizeof *s);
    *state = s;
    return scratch_open(s) ? 0 : -1;
}

static int teardown(void **state)
{
    scratch_close(*state);
    test_free(*state);
    return 0;
}

static int count_entries(const char *dir)
{
    char command[2048];
    int n = -1;
    snprintf(command, sizeof command, "ls -A '%s' | wc -l", dir);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    assert_int_equal(fscanf(p, "%d", &n), 1);
    pclose(p);
    return n;
}

static void only_regular_files_are_mapped(void **state)
{
    scratch *s = *state;
    smelt_map *map;
    smelt_err err = {0};
    assert_int_equal(map_open(s->dir, &map, &err), SMELT_E_UNSUPPORTED);
    err = (smelt_err){0};
    assert_int_equal(map_open(scratch_path(s, "missing"), &map, &err), SMELT_E_IO);
    assert_non_null(strstr(err.where, "missing"));
    err = (smelt_err){0};
    assert_int_equal(mkfifo(scratch_path(s, "pipe"), 0600), 0);
    assert_int_equal(map_open(scratch_path(s, "pipe"), &map, &err), SMELT_E_UNSUPPORTED);
    assert_int_equal(map_open("/dev/zero", &map, NULL), SMELT_E_UNSUPPORTED);
    assert_int_equal(map_open(scratch_write(s, "empty", "", 0), &map, NULL), SMELT_OK);
    assert_int_equal(map->size, 0);
    assert_null(map->data);
    map_close(map);
    assert_int_equal(map_open(scratch_write(s, "x", "abc", 3), &map, NULL), SMELT_OK);
    assert_int_equal(map->size, 3);
    assert_memory_equal(map->data, "abc", 3);
    map_close(map);
}

static void a_small_file_is_read_up_to_its_limit(void **state)
{
    scratch *s = *state;
    smelt_arena arena = {0};
    const char *data;
    size_t n;
    assert_int_equal(file_read(&arena, scratch_write(s, "x", "abc", 3), 3, &data, &n, NULL), SMELT_OK);
    assert_int_equal(n, 3);
    assert_string_equal(data, "abc");
    assert_int_equal(file_read(&arena, scratch_path(s, "x"), 2, &data, &n, NULL), SMELT_E_LIMIT);
    arena_free(&arena);
}

static void paths_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *path, *dir, *base;
    } rows[] = {{"a", ".", "a"},     {"a/", ".", "a"},  {"/a", "/", "a"},  {"a/b", "a", "b"}, {"a//b//", "a", "b"},
                {"/a/b", "/a", "b"}, {"./a", ".", "a"}, {"..", ".", ".."}, {"//a", "/", "a"}};
    smelt_arena arena = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_string_equal(path_dir(&arena, rows[i].path), rows[i].dir);
        assert_string_equal(path_base(&arena, rows[i].path), rows[i].base);
    }
    assert_string_equal(path_join(&arena, "a", "b"), "a/b");
    assert_string_equal(path_join(&arena, "a/", "b"), "a/b");
    arena_free(&arena);
}

static void names_in_files_cannot_leave_their_directory(void **state)
{
    scratch *s = *state;
    char dir[512], link[600];
    smelt_arena arena = {0};
    char *out;
    snprintf(dir, sizeof dir, "%s/model", s->dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    scratch_write(s, "secret", "x", 1);
    scratch_write(s, "model/inside", "x", 1);
    static const char *const bad[] = {"",     "/etc/passwd", "..", "../secret", "a/../../secret", "./inside",
                                      "a//b", "inside/",     ".",  "a\\b",      "a/..",           "//x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        smelt_err err = {0};
        assert_int_equal(path_inside(&arena, dir, bad[i], &out, &err), SMELT_E_FORBIDDEN);
        assert_non_null(strstr(err.text, "name"));
    }
    static const char *const good[] = {"inside", "missing", "sub/missing", "...", "..a", "a.."};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(path_inside(&arena, dir, good[i], &out, NULL), SMELT_OK);
    static const char *const targets[] = {"../secret", "/etc/passwd", "..", "/"};
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        snprintf(link, sizeof link, "%s/link%zu", dir, i);
        assert_int_equal(symlink(targets[i], link), 0);
        assert_int_equal(path_inside(&arena, dir, strrchr(link, '/') + 1, &out, NULL), SMELT_E_FORBIDDEN);
    }
    /* Through a linked folder, and through a chain of links. */
    assert_int_equal(path_inside(&arena, dir, "link2/secret", &out, NULL), SMELT_E_FORBIDDEN);
    snprintf(link, sizeof link, "%s/chain", dir);
    assert_int_equal(symlink("link0", link), 0);
    assert_int_equal(path_inside(&arena, dir, "chain", &out, NULL), SMELT_E_FORBIDDEN);
    snprintf(link, sizeof link, "%s/near", dir);
    assert_int_equal(symlink("inside", link), 0);
    assert_int_equal(path_inside(&arena, dir, "near", &out, NULL), SMELT_OK);
    /* A directory whose name begins like this one's is another place. */
    snprintf(link, sizeof link, "%s/model-2", s->dir);
    assert_int_equal(mkdir(link, 0700), 0);
    scratch_write(s, "model-2/other", "x", 1);
    snprintf(link, sizeof link, "%s/sibling", dir);
    assert_int_equal(symlink("../model-2/other", link), 0);
    assert_int_equal(path_inside(&arena, dir, "sibling", &out, NULL), SMELT_E_FORBIDDEN);
    arena_free(&arena);
}

static void a_hub_cache_s_links_to_blobs_are_followed(void **state)
{
    scratch *s = *state;
    smelt_arena arena = {0};
    char path[1024], *out;
    static const char *const folders[] = {
        "hub", "hub/blobs", "hub/snapshots", "hub/snapshots/rev", "hub/snapshots/rev/original", "hub/other"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        assert_int_equal(mkdir(scratch_path(s, folders[i]), 0700), 0);
    scratch_write(s, "hub/blobs/abc", "x", 1);
    scratch_write(s, "hub/other/abc", "x", 1);
    assert_int_equal(symlink("../../blobs/abc", scratch_path(s, "hub/snapshots/rev/model")), 0);
    assert_int_equal(symlink("../../other/abc", scratch_path(s, "hub/snapshots/rev/stray")), 0);
    snprintf(path, sizeof path, "%s", scratch_path(s, "hub/snapshots/rev"));
    assert_int_equal(path_inside(&arena, path, "model", &out, NULL), SMELT_OK);
    assert_int_equal(path_inside(&arena, path, "stray", &out, NULL), SMELT_E_FORBIDDEN);
    assert_int_equal(symlink("../../../blobs/abc", scratch_path(s, "hub/snapshots/rev/original/model")), 0);
    assert_int_equal(symlink("../../../other/abc", scratch_path(s, "hub/snapshots/rev/original/stray")), 0);
    snprintf(path, sizeof path, "%s", scratch_path(s, "hub/snapshots/rev/original"));
    assert_int_equal(path_inside(&arena, path, "model", &out, NULL), SMELT_OK);
    assert_int_equal(path_inside(&arena, path, "stray", &out, NULL), SMELT_E_FORBIDDEN);
    arena_free(&arena);
}

static void output_appears_only_with_the_commit(void **state)
{
    scratch *s = *state;
    smelt_sink *sink;
    int index;
    char target[1024];
    snprintf(target, sizeof target, "%s", scratch_path(s, "out.bin"));
    assert_int_equal(sink_open(target, false, false, &sink, NULL), SMELT_OK);
    assert_int_equal(sink_add(sink, "out.bin", 6, &index, NULL), SMELT_OK);
    assert_int_equal(sink_write(sink, index, "def", 3, 3, NULL), SMELT_OK);
    assert_false(path_exists(target));
    assert_int_equal(sink_write(sink, index, "abc", 3, 0, NULL), SMELT_OK);
    char back[6];
    assert_int_equal(sink_read(sink, index, back, 6, 0, NULL), SMELT_OK);
    assert_memory_equal(back, "abcdef", 6);
    assert_int_equal(sink_read(sink, index, back, 6, 1, NULL), SMELT_E_IO);
    assert_int_equal(sink_commit(sink, NULL), SMELT_OK);
    sink_close(sink);
    smelt_map *map;
    assert_int_equal(map_open(target, &map, NULL), SMELT_OK);
    assert_int_equal(map->size, 6);
    assert_memory_equal(map->data, "abcdef", 6);
    map_close(map);
    assert_int_equal(count_entries(s->dir), 1);
}

static void a_discarded_output_leaves_nothing_and_touches_nothing(void **state)
{
    scratch *s = *state;
    smelt_sink *sink;
    int index;
    char target[1024];
    snprintf(target, sizeof target, "%s", scratch_write(s, "out.bin", "old", 3));
    assert_int_equal(sink_open(target, false, false, &sink, NULL), SMELT_OK);
    assert_int_equal(sink_add(sink, "out.bin", 100, &index, NULL), SMELT_OK);
    assert_int_equal(sink_journal_append(sink, "x", 1, NULL), SMELT_OK);
    sink_discard(sink);
    sink_close(sink);
    assert_int_equal(count_entries(s->dir), 1);
    snprintf(target, sizeof target, "%s", scratch_path(s, "folder/"));
    assert_int_equal(sink_open(target, true, false, &sink, NULL), SMELT_OK);
    assert_int_equal(sink_add(sink, "a/b/c", 100, &index, NULL), SMELT_OK);
    sink_discard(sink);
    sink_close(sink);
    assert_int_equal(count_entries(s->dir), 1);
    char old[3];
    FILE *f = fopen(scratch_path(s, "out.bin"), "rb");
    assert_true(f && fread(old, 1, 3, f) == 3);
    fclose(f);
    assert_memory_equal(old, "old", 3);
}

static void a_directory_target_appears_as_a_whole(void **state)
{
    scratch *s = *state;
    smelt_sink *sink;
    int a, b;
    char target[1024];
    snprintf(target, sizeof target, "%s", scratch_path(s, "out"));
    /* An empty directory may be there. */
    assert_int_equal(mkdir(target, 0700), 0);
    assert_int_equal(sink_open(target, true, false, &sink, NULL), SMELT_OK);
    assert_int_equal(sink_add(sink, "config.json", 2, &a, NULL), SMELT_OK);
    assert_int_equal(sink_add(sink, "sub/x", 1, &b, NULL), SMELT_OK);
    assert_int_equal(sink_write(sink, a, "{}", 2, 0, NULL), SMELT_OK);
    assert_int_equal(count_entries(target), 0);
    assert_int_equal(sink_commit(sink, NULL), SMELT_OK);
    sink_close(sink);
    assert_int_equal(count_entries(target), 2);
    assert_int_equal(count_entries(s->dir), 1);
    smelt_err err = {0};
    assert_int_equal(sink_open(target, true, false, &sink, &err), SMELT_E_USAGE);
    assert_non_null(strstr(err.text, "not empty"));
}

static void a_target_that_a_rename_cannot_replace_is_refused_at_once(void **state)
{
    scratch *s = *state;
    smelt_sink *sink;
    char dir[1024], link[1024], here[4096];
    snprintf(dir, sizeof dir, "%s", scratch_path(s, "empty"));
    assert_int_equal(mkdir(dir, 0700), 0);
    snprintf(link, sizeof link, "%s", scratch_path(s, "link"));
    assert_int_equal(symlink("empty", link), 0);
    assert_int_equal(sink_open(link, true, false, &sink, NULL), SMELT_E_USAGE);
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(dir), 0);
    assert_int_equal(sink_open(".", true, false, &sink, NULL), SMELT_E_USAGE);
    assert_int_equal(sink_open("./", true, false, &sink, NULL), SMELT_E_USAGE);
    assert_int_equal(chdir(here), 0);
    assert_int_equal(sink_open("/", true, false, &sink, NULL), SMELT_E_USAGE);
    assert_int_equal(sink_open("/proc", true, false, &sink, NULL), SMELT_E_USAGE);
    assert_int_equal(sink_open("", false, false, &sink, NULL), SMELT_E_USAGE);
    assert_int_equal(sink_open(dir, false, false, &sink, NULL), SMELT_E_USAGE);
    assert_int_equal(sink_open("/dev/null", false, false, &sink, NULL), SMELT_E_USAGE);
    assert_int_equal(count_entries(dir), 0);
}

static void one_run_at_a_time_writes_a_target(void **state)
{
    scratch *s = *state;
    smelt_sink *one, *two;
    char target[1024];
    smelt_err err = {0};
    snprintf(target, sizeof target, "%s", scratch_path(s, "out"));
    assert_int_equal(sink_open(target, false, false, &one, NULL), SMELT_OK);
    assert_int_equal(sink_open(target, false, false, &two, &err), SMELT_E_USAGE);
    assert_non_null(strstr(err.text, "another run"));
    sink_discard(one);
    sink_close(one);
    assert_int_equal(sink_open(target, false, false, &two, NULL), SMELT_OK);
    sink_discard(two);
    sink_close(two);
}

static void what_an_interrupted_run_left_is_kept_only_on_request(void **state)
{
    scratch *s = *state;
    char target[1024];
    snprintf(target, sizeof target, "%s", scratch_path(s, "out"));
    for (int round = 0; round < 4; round++) {
        const bool dir = round & 1, keep = round & 2;
        smelt_sink *sink;
        smelt_arena arena = {0};
        int index;
        const char *journal;
        size_t n;
        char back[4];
        assert_int_equal(sink_open(target, dir, false, &sink, NULL), SMELT_OK);
        assert_int_equal(sink_add(sink, "x", 4, &index, NULL), SMELT_OK);
        assert_int_equal(sink_write(sink, index, "abcd", 4, 0, NULL), SMELT_OK);
        assert_int_equal(sink_journal_append(sink, "note", 4, NULL), SMELT_OK);
        sink_close(sink);
        assert_false(path_exists(target));
        assert_int_equal(sink_open(target, dir, keep, &sink, NULL), SMELT_OK);
        assert_int_equal(sink_journal_read(sink, &arena, &journal, &n, NULL), SMELT_OK);
        assert_int_equal(n, keep ? 4 : 0);
        assert_int_equal(sink_add(sink, "x", 4, &index, NULL), SMELT_OK);
        assert_int_equal(sink_read(sink, index, back, 4, 0, NULL), SMELT_OK);
        assert_memory_equal(back, keep ? "abcd" : "\0\0\0\0", 4);
        arena_free(&arena);
        sink_discard(sink);
        sink_close(sink);
        assert_int_equal(count_entries(s->dir), 0);
    }
}

static void leftovers_without_a_journal_are_not_trusted(void **state)
{
    scratch *s = *state;
    smelt_sink *sink;
    int index;
    char target[1024], back[4];
    snprintf(target, sizeof target, "%s", scratch_path(s, "out"));
    assert_int_equal(sink_open(target, false, false, &sink, NULL), SMELT_OK);
    assert_int_equal(sink_add(sink, "out", 4, &index, NULL), SMELT_OK);
    assert_int_equal(sink_write(sink, index, "abcd", 4, 0, NULL), SMELT_OK);
    sink_close(sink);
    assert_int_equal(sink_open(target, false, true, &sink, NULL), SMELT_OK);
    assert_int_equal(sink_add(sink, "out", 4, &index, NULL), SMELT_OK);
    assert_int_equal(sink_read(sink, index, back, 4, 0, NULL), SMELT_OK);
    assert_memory_equal(back, "\0\0\0\0", 4);
    sink_discard(sink);
    sink_close(sink);
}

/* In a folder that others can write, somebody may have put links where partial output goes. */
static void links_planted_for_partial_output_are_not_followed(void **state)
{
    scratch *s = *state;
    smelt_sink *sink = NULL;
    int index;
    char target[1024];
    snprintf(target, sizeof target, "%s", scratch_path(s, "out"));
    assert_int_equal(mkdir(scratch_path(s, "precious"), 0700), 0);
    scratch_write(s, "precious/file", "x", 1);
    assert_int_equal(symlink("precious", scratch_path(s, ".out.smelt-partial")), 0);
    smelt_err err = {0};
    assert_int_equal(sink_open(target, true, false, &sink, &err), SMELT_E_IO);
    assert_int_equal(count_entries(scratch_path(s, "precious")), 1);
    assert_int_equal(unlink(scratch_path(s, ".out.smelt-partial")), 0);
    assert_int_equal(symlink("precious/file", scratch_path(s, ".out.smelt-partial")), 0);
    assert_int_equal(sink_open(target, false, false, &sink, NULL), SMELT_OK);
    assert_int_equal(sink_add(sink, "out", 100, &index, NULL), SMELT_OK);
    sink_discard(sink);
    sink_close(sink);
    struct stat st;
    assert_int_equal(stat(scratch_path(s, "precious/file"), &st), 0);
    assert_int_equal(st.st_size, 1);
    assert_int_equal(unlink(scratch_path(s, ".out.smelt-journal")) == 0 || errno == ENOENT, 1);
    assert_int_equal(symlink("precious/file", scratch_path(s, ".out.smelt-journal")), 0);
    assert_int_equal(sink_open(target, false, false, &sink, NULL), SMELT_E_IO);
}

static void a_place_that_cannot_be_written_is_an_error(void **state)
{
    scratch *s = *state;
    smelt_sink *sink;
    int index;
    char target[1024];
    smelt_err err = {0};
    assert_int_equal(sink_open(scratch_path(s, "missing/out"), false, false, &sink, &err), SMELT_E_IO);
    assert_non_null(strstr(err.text, "No such file"));
    snprintf(target, sizeof target, "%s", scratch_path(s, "out"));
    assert_int_equal(sink_open(target, false, false, &sink, NULL), SMELT_OK);
    assert_int_equal(sink_add(sink, "out", UINT64_MAX, &index, NULL), SMELT_E_IO);
    assert_int_equal(sink_add(sink, "out2", (uint64_t)1 << 60, &index, NULL), SMELT_E_IO);
    sink_discard(sink);
    sink_close(sink);
    assert_int_equal(count_entries(s->dir), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(only_regular_files_are_mapped),
        TEST(a_small_file_is_read_up_to_its_limit),
        TEST(paths_are_taken_apart),
        TEST(names_in_files_cannot_leave_their_directory),
        TEST(a_hub_cache_s_links_to_blobs_are_followed),
        TEST(output_appears_only_with_the_commit),
        TEST(a_discarded_output_leaves_nothing_and_touches_nothing),
        TEST(a_directory_target_appears_as_a_whole),
        TEST(a_target_that_a_rename_cannot_replace_is_refused_at_once),
        TEST(one_run_at_a_time_writes_a_target),
        TEST(what_an_interrupted_run_left_is_kept_only_on_request),
        TEST(leftovers_without_a_journal_are_not_trusted),
        TEST(links_planted_for_partial_output_are_not_followed),
        TEST(a_place_that_cannot_be_written_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
