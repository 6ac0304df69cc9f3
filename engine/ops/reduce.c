/* reduce.c - sums in fixed order: parts of a split sum, and the columns of a matrix (bias gradients). */
#include "ops/gemm.h"

enum { SUM_GROUP = 64, PART_ROWS = 64, MOST_PARTS = 512 };

tlvk_status tlvk__record_sum_parts(tlvk__recorder *r, tlvk__span from, int64_t parts, int64_t count, tlvk__binding to, uint32_t to_base, bool accumulate,
                                   const char *operation, const char *layer) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    struct { uint32_t from_base, to_base, count, parts, apart; } push = {0, to_base, (uint32_t)count, (uint32_t)parts, (uint32_t)count};
    from.bytes = (uint64_t)(parts * count) * 16;
    to.access = accumulate ? TLVK__READ_WRITE : TLVK__WRITE;
    tlvk__dispatch d = {.shader = "sum_parts", .specs = {{"WG", SUM_GROUP}, {"ACCUMULATE", accumulate}}, .bindings = {{.access = 0}, to}, .binding_count = 2,
                        .push = &push, .push_bytes = sizeof push, .groups = {(uint64_t)tlvk__div_up(count, SUM_GROUP)},
                        .flops = 4.0 * (double)parts * (double)count, .bytes = 16.0 * (double)(parts + 1) * (double)count,
                        .operation = operation, .layer = layer};
    d.bindings[0] = tlvk__span_window(caps, from, TLVK__READ, &push.from_base);
    return tlvk__record_dispatch(r, &d);
}

/* Rows summed by one invocation; from the whole tensor, so that it does not depend on how that is cut into pieces. */
static int64_t part_rows_of(const tlvk__tensor *dy) {
    return TLVK__MAX((int64_t)PART_ROWS, tlvk__div_up(dy->n * dy->rows, MOST_PARTS));
}

uint64_t tlvk__column_sums_bytes(const tlvk__tensor *dy) {
    return (uint64_t)(tlvk__div_up(dy->n * dy->rows, part_rows_of(dy)) * dy->pitch) * sizeof(float);
}

tlvk_status tlvk__record_column_sums(tlvk__recorder *r, const tlvk__tensor *dy, const tlvk__tensor *db, bool accumulate, tlvk__span scratch,
                                     const char *operation, const char *layer) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    int64_t part_rows = part_rows_of(dy), vecs = dy->pitch / TLVK__LANES;
    tlvk__piece p = {0, 0};
    bool more;
    for (;;) {
        tlvk_status s = tlvk__next_piece(caps, &dy, 1, dy->n, &p, &more);
        if (s || !more)
            return s;
        int64_t rows = (p.n1 - p.n0) * dy->rows, parts = tlvk__div_up(rows, part_rows);
        struct { uint32_t from_base, to_base, rows, part_rows, parts, vecs, apart; } push = {
            0, 0, (uint32_t)rows, (uint32_t)part_rows, (uint32_t)parts, (uint32_t)vecs, (uint32_t)tlvk__row_vecs(dy)};
        tlvk__span to = {scratch.buffer, scratch.offset, (uint64_t)(parts * vecs) * 16};
        tlvk__dispatch d = {.shader = tlvk__texel_operands(caps) ? "column_sums_texel" : "column_sums_plain", .specs = {{"WG", SUM_GROUP}}, .binding_count = 2,
                            .push = &push, .push_bytes = sizeof push, .groups = {(uint64_t)tlvk__div_up(parts * vecs, SUM_GROUP)},
                            .flops = 4.0 * (double)(rows * vecs), .bytes = 16.0 * (double)(rows * vecs), .operation = operation, .layer = layer};
        d.bindings[0] = tlvk__tensor_window(caps, dy, p.n0, p.n1, TLVK__READ, &push.from_base);
        d.bindings[1] = tlvk__span_window(caps, to, TLVK__WRITE, &push.to_base);
        s = tlvk__record_dispatch(r, &d);
        if (s)
            return s;
        uint32_t to_base;
        tlvk__binding sum = tlvk__tensor_window(caps, db, 0, 1, TLVK__WRITE, &to_base);
        s = tlvk__record_sum_parts(r, to, parts, vecs, sum, to_base, accumulate, operation, layer);
        if (s)
            return s;
        accumulate = true;
    }
}
