/* gemm_choice.c - what a product may run as: tiles of the shuffle core, the portable core, and Winograd where that is possible; in mixed precision tiles of
 * cooperative matrices, and fp32 where these do not pay. Hides: which tiles are worth trying on which subgroup size. Whatever tile is chosen,
 * every element stays one ascending chain over k. */
#include "ops/gemm.h"
#include "ops/winograd.h"

/* Beside the standard tile of the static table. A lane has no more than 128 accumulators (256 on a processor), and every lane at least one vec4 of A per chunk. Of the tiles of 8
 * that docs/kernels.md names, those that were never the fastest of a layer are left out: each costs time. */
static const struct { int sg; bool processor; int tm, tv, kc, split; } more_tiles[] = {
    {4, true, 8, 1, 8, 1},    {4, true, 16, 1, 8, 1},   {8, true, 32, 1, 8, 1},  {8, true, 32, 2, 4, 4},  {8, true, 16, 2, 8, 4},  {8, true, 8, 2, 8, 1},
    {16, true, 32, 1, 8, 1},  {16, true, 16, 1, 16, 1}, {16, true, 8, 1, 16, 1}, {8, false, 8, 1, 8, 1}, {8, false, 4, 1, 8, 1},  {16, false, 8, 1, 16, 1},
    {16, false, 4, 1, 16, 1}, {32, false, 8, 1, 16, 1}, {32, false, 16, 1, 16, 1}, {64, false, 8, 1, 32, 1}, {128, false, 16, 1, 32, 1}};

static bool worth_trying(const tlvk__caps *caps, size_t row) {
    tlvk__tile t = tlvk__gemm_sgb_tile(more_tiles[row].sg, more_tiles[row].tm, more_tiles[row].tv, more_tiles[row].kc, 1);
    return t.sg == (int)caps->shuffle_size && more_tiles[row].processor == tlvk__on_processor(caps) && t.wg <= (int)caps->max_invocations;
}

static int64_t kind_of(const tlvk__gemm_call *g, bool mixed) {
    if (g->transposed)
        return mixed ? TLVK__CHOICE_MIXED_TRANSPOSED : TLVK__CHOICE_TRANSPOSED;
    if (g->packs)
        return mixed ? TLVK__CHOICE_MIXED_CONV : TLVK__CHOICE_CONV;
    return mixed ? TLVK__CHOICE_MIXED_DENSE : TLVK__CHOICE_DENSE;
}

static tlvk__choice_key key_of(const tlvk__gemm_call *g, bool mixed, enum tlvk__gemm_pass pass) {
    const tlvk__conv_shape *s = &g->shape;
    return (tlvk__choice_key){.kind = kind_of(g, mixed), .pass = pass,
                              .n = {s->h, s->w, s->oh, s->ow, s->kh, s->kw, s->stride[0], s->stride[1], s->dilation[0], s->dilation[1], s->pad[0], s->pad[1],
                                    s->cin_vecs, s->cout_vecs, 1}};
}

static int32_t value_of(const tlvk__tile *t) {
    if (t->coop)
        return TLVK__CHOICE_COOPERATIVE | tlvk__choice_of_tile(t->rows, t->vecs, t->kc);
    return tlvk__choice_of_tile(t->tm, t->tv, t->kc) | (t->sgb ? 0 : TLVK__CHOICE_PORTABLE) | (t->split > 1 ? TLVK__CHOICE_SPLIT : 0) |
           (t->long_sums ? TLVK__CHOICE_LONG_SUMS : 0);
}

static tlvk__tile tile_of(const tlvk__caps *caps, int32_t value) {
    if (value & TLVK__CHOICE_COOPERATIVE)
        return tlvk__gemm_coop_tile(caps, tlvk__choice_tm(value) > tlvk__gemm_coop_tile(caps, false).rows);
    tlvk__tile t = value & TLVK__CHOICE_PORTABLE ? tlvk__gemm_portable_tile(tlvk__choice_tm(value) == tlvk__gemm_portable_tile(true).tm)
                                                 : tlvk__gemm_sgb_tile((int)caps->shuffle_size, tlvk__choice_tm(value), tlvk__choice_tv(value), tlvk__choice_kc(value),
                                                                       value & TLVK__CHOICE_SPLIT ? 4 : 1);
    t.long_sums = value & TLVK__CHOICE_LONG_SUMS;
    return t;
}

static void add(int32_t value, int32_t candidates[TLVK__MOST_CANDIDATES], int *count) {
    for (int i = 0; i < *count; i++)
        if (candidates[i] == value)
            return;
    if (*count < TLVK__MOST_CANDIDATES)
        candidates[(*count)++] = value;
}

/* The standard, the other tile of cooperative matrices, and the standard of fp32. */
static int mixed_candidates(const tlvk__caps *caps, const tlvk__gemm_call *g, enum tlvk__gemm_pass pass, int32_t candidates[TLVK__MOST_CANDIDATES]) {
    const tlvk__tile tiles[] = {tlvk__gemm_standard_tile(caps, g, pass), tlvk__gemm_coop_tile(caps, false), tlvk__gemm_coop_tile(caps, tlvk__gemm_wide_coop(caps)),
                                tlvk__gemm_full_tile(caps, g, pass)};
    int count = 0;
    for (size_t i = 0; i < TLVK__COUNT(tiles); i++)
        add(value_of(&tiles[i]), candidates, &count);
    return count;
}

int tlvk__gemm_candidates(const tlvk__caps *caps, const tlvk__gemm_call *g, enum tlvk__gemm_pass pass, tlvk__choice_key *key, int32_t candidates[TLVK__MOST_CANDIDATES]) {
    tlvk__tile standard = tlvk__gemm_standard_tile(caps, g, pass), portable = tlvk__gemm_portable_tile(tlvk__gemm_few_rows(g, pass));
    int32_t sums = standard.long_sums ? TLVK__CHOICE_LONG_SUMS : 0;
    int count = 0;
    bool paying = false, mixed = tlvk__gemm_mixed(caps, g), winograd = g->packs && !g->transposed && tlvk__winograd_possible(caps, &g->shape, pass, &paying);
    *key = key_of(g, mixed, pass);
    if (mixed)
        return mixed_candidates(caps, g, pass, candidates);
    if (winograd && paying)
        add(TLVK__CHOICE_WINOGRAD, candidates, &count);
    add(value_of(&standard), candidates, &count);
    if (winograd)
        add(TLVK__CHOICE_WINOGRAD, candidates, &count);
    if (pass == TLVK__GEMM_WEIGHTS)
        add(value_of(&standard) ^ TLVK__CHOICE_LONG_SUMS, candidates, &count);
    for (size_t i = 0; caps->subgroup_shuffle && i < TLVK__COUNT(more_tiles); i++)
        if (worth_trying(caps, i))
            add(sums | (more_tiles[i].split > 1 ? TLVK__CHOICE_SPLIT : 0) | tlvk__choice_of_tile(more_tiles[i].tm, more_tiles[i].tv, more_tiles[i].kc), candidates, &count);
    add(sums | value_of(&portable), candidates, &count);
    return count;
}

int32_t tlvk__gemm_choice(const tlvk__caps *caps, const tlvk__gemm_call *g, enum tlvk__gemm_pass pass) {
    tlvk__choice_key key;
    int32_t candidates[TLVK__MOST_CANDIDATES];
    int count = tlvk__gemm_candidates(caps, g, pass, &key, candidates);
    return tlvk__choice_take(caps, &key, candidates, count);
}

tlvk__tile tlvk__gemm_tile(const tlvk__caps *caps, const tlvk__gemm_call *g, enum tlvk__gemm_pass pass) {
    int32_t value = caps->choices || caps->forced_choice ? tlvk__gemm_choice(caps, g, pass) : TLVK__CHOICE_WINOGRAD;
    return value == TLVK__CHOICE_WINOGRAD ? tlvk__gemm_standard_tile(caps, g, pass) : tile_of(caps, value);
}
