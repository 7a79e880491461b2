#include "spm.h"

#include "base/strmap.h"

/* Wire types of protobuf fields. */
enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

typedef struct spm_field {
    uint32_t number, wire;
    uint64_t value;       /* VARINT, 32, 64; for BYTES the size */
    const uint8_t *bytes; /* BYTES */
    uint64_t at;          /* offset in the file */
} spm_field;

static smelt_status read_varint(smelt_cur *c, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t b;
        SMELT_TRY(cur_u8(c, "a varint", &b));
        if (shift == 63 && b > 1) break;
        *out |= (uint64_t)(b & 0x7F) << shift;
        if (!(b & 0x80)) return SMELT_OK;
    }
    return smelt_fail_at(c->err, SMELT_E_CORRUPT, c->base + c->pos, "a varint has more than 64 bits");
}

static smelt_status read_field(smelt_cur *c, spm_field *f)
{
    uint64_t tag;
    *f = (spm_field){.at = c->base + c->pos};
    SMELT_TRY(read_varint(c, &tag));
    f->wire = tag & 7;
    if (tag >> 3 == 0 || tag >> 3 > UINT32_MAX >> 3)
        return smelt_fail_at(c->err, SMELT_E_CORRUPT, f->at, "protobuf field %" PRIu64 " does not exist", tag >> 3);
    f->number = (uint32_t)(tag >> 3);
    if (f->wire == WIRE_VARINT) return read_varint(c, &f->value);
    if (f->wire == WIRE_64) return cur_u64(c, "a 64-bit field", &f->value);
    if (f->wire == WIRE_32) {
        uint32_t v;
        SMELT_TRY(cur_u32(c, "a 32-bit field", &v));
        f->value = v;
        return SMELT_OK;
    }
    if (f->wire != WIRE_BYTES)
        return smelt_fail_at(c->err, SMELT_E_CORRUPT, f->at, "protobuf wire type %u is not used by SentencePiece", f->wire);
    SMELT_TRY(read_varint(c, &f->value));
    return cur_bytes(c, f->value, "a field", &f->bytes);
}

static smelt_status expect(const smelt_cur *c, const spm_field *f, uint32_t wire, const char *what)
{
    if (f->wire == wire) return SMELT_OK;
    return smelt_fail_at(c->err, SMELT_E_CORRUPT, f->at, "%s has protobuf wire type %u, expected %u", what, f->wire, wire);
}

static smelt_cur inside(const smelt_cur *c, const spm_field *f)
{
    return (smelt_cur){.data = f->bytes, .size = f->value, .base = c->base + (uint64_t)(f->bytes - c->data), .err = c->err};
}

static smelt_status read_piece(smelt_cur *c, spm_piece *p)
{
    *p = (spm_piece){.type = SPM_NORMAL};
    while (c->pos < c->size) {
        spm_field f;
        SMELT_TRY(read_field(c, &f));
        if (f.number == 1) {
            SMELT_TRY(expect(c, &f, WIRE_BYTES, "a piece's text"));
            p->text = (smelt_str){(const char *)f.bytes, f.value};
        } else if (f.number == 2) {
            SMELT_TRY(expect(c, &f, WIRE_32, "a piece's score"));
            p->score = f32_from_bits((uint32_t)f.value);
        } else if (f.number == 3) {
            SMELT_TRY(expect(c, &f, WIRE_VARINT, "a piece's type"));
            if (f.value < SPM_NORMAL || f.value > SPM_BYTE)
                return smelt_fail_at(c->err, SMELT_E_CORRUPT, f.at, "piece type %" PRIu64 " does not exist", f.value);
            p->type = (int32_t)f.value;
        }
    }
    if (!p->text.n || !utf8_valid(p->text.p, p->text.n))
        return smelt_fail_at(c->err, SMELT_E_CORRUPT, c->base, "a piece's text is empty or not UTF-8");
    return SMELT_OK;
}

static smelt_status read_trainer(smelt_cur *c, spm_model *m)
{
    struct {
        uint32_t number;
        int32_t *value;
    } ids[] = {{3, &m->model_type}, {40, &m->unk_id}, {41, &m->bos_id}, {42, &m->eos_id}, {43, &m->pad_id}};
    while (c->pos < c->size) {
        spm_field f;
        SMELT_TRY(read_field(c, &f));
        for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
            if (f.number == ids[i].number) {
                SMELT_TRY(expect(c, &f, WIRE_VARINT, "a trainer setting"));
                *ids[i].value = (int32_t)(uint32_t)f.value;
            }
        if (f.number == 35) {
            SMELT_TRY(expect(c, &f, WIRE_VARINT, "byte_fallback"));
            m->byte_fallback = f.value != 0;
        } else if (f.number == 44) {
            SMELT_TRY(expect(c, &f, WIRE_BYTES, "unk_surface"));
            m->unk_text = (smelt_str){(const char *)f.bytes, f.value};
        } else if (f.number == 24) {
            SMELT_TRY(expect(c, &f, WIRE_VARINT, "treat_whitespace_as_suffix"));
            m->space_behind = f.value != 0;
        }
    }
    return SMELT_OK;
}

static smelt_status read_normalizer(smelt_cur *c, spm_model *m)
{
    while (c->pos < c->size) {
        spm_field f;
        SMELT_TRY(read_field(c, &f));
        if (f.number == 2) {
            SMELT_TRY(expect(c, &f, WIRE_BYTES, "the charsmap"));
            m->charsmap = (smelt_str){(const char *)f.bytes, f.value};
        }
        if (f.number != 3 && f.number != 4) continue;
        SMELT_TRY(expect(c, &f, WIRE_VARINT, "a normalizer setting"));
        *(f.number == 3 ? &m->add_dummy_prefix : &m->remove_extra_whitespaces) = f.value != 0;
    }
    return SMELT_OK;
}

smelt_status spm_parse(smelt_arena *arena, const void *data, size_t size, spm_model *m, smelt_err *err)
{
    *m = (spm_model){.model_type = SPM_UNIGRAM,
                     .add_dummy_prefix = true,
                     .remove_extra_whitespaces = true,
                     .bos_id = 1,
                     .eos_id = 2,
                     .pad_id = -1};
    size_t capacity = 0;
    smelt_strmap seen = {.arena = arena};
    smelt_cur c = {.data = data, .size = size, .err = err};
    while (c.pos < c.size) {
        spm_field f;
        SMELT_TRY(read_field(&c, &f));
        if (f.number < 1 || f.number > 3) continue;
        SMELT_TRY(expect(&c, &f, WIRE_BYTES, "a part of the model"));
        smelt_cur in = inside(&c, &f);
        if (f.number == 2) {
            SMELT_TRY(read_trainer(&in, m));
        } else if (f.number == 3) {
            SMELT_TRY(read_normalizer(&in, m));
        } else {
            if (!arena_room(arena, &m->pieces, m->n, &capacity, sizeof *m->pieces)) return smelt_oom(err);
            spm_piece *p = &m->pieces[m->n];
            SMELT_TRY(read_piece(&in, p));
            bool added;
            if (!strmap_add(&seen, p->text.p, p->text.n, m->n, &added)) return smelt_oom(err);
            if (!added)
                return smelt_fail_at(err, SMELT_E_CORRUPT, f.at, "piece %zu, '%.*s', is there twice", m->n,
                                     (int)(p->text.n < 64 ? p->text.n : 64), p->text.p);
            m->n++;
        }
    }
    if (!m->n) return smelt_fail(err, SMELT_E_CORRUPT, "there are no pieces: this is no SentencePiece model");
    return SMELT_OK;
}

static void put_varint(smelt_buf *b, uint64_t v)
{
    for (; v > 0x7F; v >>= 7)
        buf_u8(b, (uint8_t)(v | 0x80));
    buf_u8(b, (uint8_t)v);
}

static void put_number(smelt_buf *b, uint32_t field, int64_t v)
{
    put_varint(b, field << 3 | WIRE_VARINT);
    put_varint(b, (uint64_t)v);
}

static void put_bytes(smelt_buf *b, uint32_t field, const void *bytes, size_t n)
{
    put_varint(b, field << 3 | WIRE_BYTES);
    put_varint(b, n);
    buf_put(b, bytes, n);
}

void spm_write(smelt_buf *out, const spm_model *m)
{
    smelt_buf part = {0};
    for (size_t i = 0; i < m->n; i++) {
        part.size = 0;
        put_bytes(&part, 1, m->pieces[i].text.p, m->pieces[i].text.n);
        put_varint(&part, 2 << 3 | WIRE_32);
        buf_u32(&part, f32_bits(m->pieces[i].score));
        if (m->pieces[i].type != SPM_NORMAL) put_number(&part, 3, m->pieces[i].type);
        put_bytes(out, 1, part.data, part.size);
    }
    part.size = 0;
    put_number(&part, 3, m->model_type);
    put_number(&part, 4, (int64_t)m->n);
    put_number(&part, 35, m->byte_fallback);
    put_number(&part, 40, m->unk_id);
    put_number(&part, 41, m->bos_id);
    put_number(&part, 42, m->eos_id);
    put_number(&part, 43, m->pad_id);
    put_bytes(out, 2, part.data, part.size);
    part.size = 0;
    put_bytes(&part, 1, "identity", 8);
    put_number(&part, 3, m->add_dummy_prefix);
    put_number(&part, 4, m->remove_extra_whitespaces);
    put_number(&part, 5, 1);
    put_bytes(out, 3, part.data, part.size);
    out->failed = out->failed || part.failed;
    buf_free(&part);
}
