/* The pickle machine on any bytes, and what the PyTorch reader makes of the values: the bytes stand as the object of a file
 * from before torch 1.6, with the list of storages and their data behind it. */
#include "formats/pickle.h"
#include "fuzz/fuzz.h"

extern const smelt_format smelt_format_torch_zip;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t head[] = "\x80\x02\x8A\x0A\x6C\xFC\x9C\x46\xF9\x20\x6A\xA8\x50\x19." /* magic number */
                                  "\x80\x02M\xE9\x03."                                        /* version 1001 */
                                  "\x80\x02}.";                                               /* the machine */
    smelt_arena arena = {0};
    smelt_cur cur = {.data = data, .size = size};
    pk_storages storages = {.arena = &arena};
    pk_value value;
    (void)pickle_load(&arena, &cur, &storages, &value);
    arena_free(&arena);

    smelt_buf file = {0};
    buf_put(&file, head, sizeof head - 1);
    buf_put(&file, data, size);
    int r = file.failed ? 0 : fuzz_reader(&smelt_format_torch_zip, ".pt", file.data, file.size);
    buf_free(&file);
    return r;
}
