/* The prompt of a chat: chat_cli TEMPLATE_FILE TEXT [SYSTEM]. The EOS token is </s>, the date today's. Exit code 3 if it is refused. */
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "vocab/chat.h"

int main(int argc, char **argv)
{
    smelt_map *map;
    smelt_err err = {0};
    if (argc < 3 || map_open(argv[1], &map, &err) != SMELT_OK) return 2;
    static const smelt_str words[] = {{"<s>", 3}, {"</s>", 4}};
    const smelt_template t = {NULL, {(const char *)map->data, map->size}};
    smelt_vocab v;
    vocab_init(&v);
    v.n = 2;
    v.text = words;
    v.special[SMELT_SP_EOS] = 1;
    v.templates = &t;
    v.n_templates = 1;
    smelt_buf out = {0};
    const time_t now = time(NULL);
    struct tm today;
    localtime_r(&now, &today);
    const smelt_status st = chat_prompt(&v, argc > 3 ? argv[3] : NULL, argv[2], &today, &out, &err);
    if (st == SMELT_OK)
        fwrite(out.data, 1, out.size, stdout);
    else
        fprintf(stderr, "%s\n", err.text);
    buf_free(&out);
    map_close(map);
    return st == SMELT_OK ? 0 : 3;
}
