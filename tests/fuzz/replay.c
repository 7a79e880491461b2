/* Runs a target on files and on every file of folders: what ctest does with the corpora where there is no fuzzer. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"

static int replay(const char *path)
{
    smelt_arena arena = {0};
    const char *data;
    size_t size;
    smelt_err err = {0};
    if (file_read(&arena, path, UINT32_MAX, &data, &size, &err) != SMELT_OK) {
        fprintf(stderr, "%s: %s\n", path, err.text);
        arena_free(&arena);
        return 1;
    }
    /* An exact copy, so that a sanitizer sees a byte read behind the end. */
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy) return 1;
    memcpy(copy, data, size);
    arena_free(&arena);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    return 0;
}

int main(int argc, char **argv)
{
    int bad = 0, n = 0;
    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);
        if (!d) {
            bad += replay(argv[i]);
            n++;
            continue;
        }
        for (struct dirent *e; (e = readdir(d));) {
            char path[4096];
            if (e->d_name[0] == '.') continue;
            snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
            bad += replay(path);
            n++;
        }
        closedir(d);
    }
    printf("%d inputs\n", n);
    return bad || !n;
}
