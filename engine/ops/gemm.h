/* gemm.h - matrix products behind Conv2D and Dense: the choice of core and tile, and how forward, backward-data and backward-weights of a
 * convolution are recorded as implicit products (nothing is gathered into memory).
 *
 * Shapes: x (n, h, w, cin), y and dy (n, oh, ow, cout), w (kh, kw, cin, cout) with rows of pitch(cin) as TLVK__LAYOUT_MATRIX lays it;
 * Dense is kh = kw = 1 over pictures of `rows` x 1. The choice of tile depends on the device, its measured choices and the layer's shape without its batch,
 * and every element of y and dx is one ascending chain over k (one per part of w where w is larger than a binding): a sample's result has
 * the same bits in any batch and at any place in it. */
#ifndef TLVK_GEMM_H
#define TLVK_GEMM_H

#include "ops/choice.h"
#include "ops/op.h"

typedef struct tlvk__conv_shape {
    int64_t h, w, oh, ow;          /* of one sample */
    int64_t kh, kw;
    int64_t stride[2], dilation[2];
    int64_t pad[2];                /* rows above, columns left */
    int64_t cin_vecs, cout_vecs;   /* pitch / 4 */
    int64_t cout;
} tlvk__conv_shape;

/* What forward and the two backward halves are recorded from; the op's own call with the convolution's numbers. */
typedef struct tlvk__gemm_call {
    const tlvk__op_call *call;     /* x[0], y, w[0] kernel, w[1] bias or NULL, epilogue, packed, scratch, dy, dx[0], dw[0], dw[1] */
    const char *operation;         /* "conv2d", "dense": the beginning of the names in the list of dispatches */
    tlvk__conv_shape shape;
    bool packs;                    /* w is packed where the core can use it */
    bool accumulate;               /* forward adds to y; there is no epilogue then */
    bool transposed;               /* backward-data is the forward pass of a Conv2DTranspose, and is named so */
} tlvk__gemm_call;

/* Bytes of scratch and of packed weights. The call's tensors have sizes alone. */
tlvk_status tlvk__gemm_needs(const tlvk__caps *caps, const tlvk__gemm_call *g, bool want_dx, bool want_dw, tlvk__op_needs *needs);
tlvk_status tlvk__gemm_pack(tlvk__recorder *r, const tlvk__gemm_call *g);
tlvk_status tlvk__gemm_forward(tlvk__recorder *r, const tlvk__gemm_call *g);        /* y = act(scale * (x*w + bias) + shift + residual) */
bool tlvk__gemm_adds_residual(const tlvk__caps *caps); /* the device binds a residual beside the other operands */
/* Whichever of dx (+)= dy * w', dw (+)= x' * dy and db (+)= column sums of dy the call wants. */
tlvk_status tlvk__gemm_backward(tlvk__recorder *r, const tlvk__gemm_call *g);

/* --- shared by gemm.c, gemm_backward.c and depthwise.c ------------------------------------------------------------------------- */

typedef struct tlvk__tile {
    bool sgb, coop;                /* which core; neither: portable */
    int tm, tv, sg, kc, wg;
    int rows, vecs, rows_per_group; /* rows x vecs vec4 of C per tile */
    int cm, cn, ck, rm, rn, subgroups_x; /* coop: gemm_tile.glsl */
    int split;                     /* shuffle core: SPLIT of gemm_tile.glsl */
    bool long_sums;                /* backward-weights: cut into few parts */
    bool halves;                   /* an activation lies in fp16: operands are read as texels by every core */
} tlvk__tile;
/* The call's products may go by cooperative matrices of fp16. */
bool tlvk__gemm_mixed(const tlvk__caps *caps, const tlvk__gemm_call *g);
enum tlvk__gemm_pass { TLVK__GEMM_FORWARD, TLVK__GEMM_DATA, TLVK__GEMM_WEIGHTS };
/* By measured choice where there is one, else the standard one. */
tlvk__tile tlvk__gemm_tile(const tlvk__caps *caps, const tlvk__gemm_call *g, enum tlvk__gemm_pass pass);
/* By the static tables alone. */
tlvk__tile tlvk__gemm_standard_tile(const tlvk__caps *caps, const tlvk__gemm_call *g, enum tlvk__gemm_pass pass);
/* The same in fp32, whatever the call's precision; the products within Winograd go by it too. */
tlvk__tile tlvk__gemm_full_tile(const tlvk__caps *caps, const tlvk__gemm_call *g, enum tlvk__gemm_pass pass);
bool tlvk__gemm_wide_coop(const tlvk__caps *caps); /* the device can do the wide tile of cooperative matrices beside the small one */
tlvk__tile tlvk__gemm_coop_tile(const tlvk__caps *caps, bool wide);
tlvk__tile tlvk__gemm_sgb_tile(int sg, int tm, int tv, int kc, int split);
tlvk__tile tlvk__gemm_portable_tile(bool small);
bool tlvk__gemm_few_rows(const tlvk__gemm_call *g, enum tlvk__gemm_pass pass); /* a small tile is the standard */
/* What this pass may run as, the standard first; returns the count. */
int tlvk__gemm_candidates(const tlvk__caps *caps, const tlvk__gemm_call *g, enum tlvk__gemm_pass pass, tlvk__choice_key *key, int32_t candidates[TLVK__MOST_CANDIDATES]);
int32_t tlvk__gemm_choice(const tlvk__caps *caps, const tlvk__gemm_call *g, enum tlvk__gemm_pass pass);
uint64_t tlvk__gemm_weights_scratch(const tlvk__caps *caps, const tlvk__gemm_call *g);
/* TLVK__HALF_*: y is not stored in fp16 where weights in parts add to it. */
unsigned tlvk__gemm_halves(const tlvk__caps *caps, const tlvk__gemm_call *g);
/* Sets shader ("<base>_sgb_texel<form>"; written to `name`), specs and subgroup size of the tile. Returns the number of specs. */
int tlvk__gemm_dispatch(const tlvk__caps *caps, const tlvk__tile *t, const char *base, const char *form, char name[64], tlvk__dispatch *d);

/* A part of w that one binding holds: `taps` whole taps from `tap` on, or some rows (input channels, in vec4: c0 to c1) of one tap. */
typedef struct tlvk__weight_part { int64_t row0, row1, tap, taps, c0, c1; } tlvk__weight_part;
/* Walks w (of taps x cin_vecs*4 rows); start zeroed. The first part is all of w where that fits a binding, parts of single taps otherwise. */
tlvk_status tlvk__next_weight_part(const tlvk__caps *caps, const tlvk__tensor *w, int64_t taps, int64_t cin_vecs, tlvk__weight_part *p, bool *more);

/* The vectors behind a product as one buffer of an epilogue.glsl shader: fills binding and e_base, scaled, and the activation's numbers. */
typedef struct tlvk__epilogue_push { int32_t e_base, scaled, columns; float alpha, max_value, threshold; } tlvk__epilogue_push;
/* Records a joining dispatch into `scratch` (2 * vecs * 16 bytes) where scale, shift and bias are not one range already. `any` is bound where
 * there is no vector. *kind: the specialization constant ACTIVATION. */
tlvk_status tlvk__epilogue_bind(tlvk__recorder *r, const tlvk__op_call *call, const tlvk__tensor *bias, int64_t columns, tlvk__span scratch,
                                tlvk__binding any, const char *operation, tlvk__binding *binding, tlvk__epilogue_push *push, uint32_t *kind);
/* The epilogue that does nothing. */
void tlvk__epilogue_none(int64_t columns, tlvk__epilogue_push *push);

/* Numbers of shaders/conv2d_gemm.comp, in its order; all counts of channels in vec4. */
typedef struct tlvk__gemm_push {
    uint32_t a_base, b_base, c_base;
    int32_t rows, grid_h, grid_w, h, w, a_pitch, k_vecs, taps_h, taps_w, stride_y, stride_x, offset_y, offset_x, tap_y, tap_x;
    int32_t c_n, c_y, c_x, c_vecs, b_pitch, b_tap_y, b_tap_x;
    tlvk__epilogue_push epilogue;
    int32_t r_from;
} tlvk__gemm_push;
_Static_assert(sizeof(tlvk__gemm_push) <= 128, "push constants beyond what every device takes");

/* One axis of the gradient with respect to a convolution's input: the input positions first, first + stride, ... (count of them) all meet the
 * same taps, and position number j meets output j + offset + t * step through kernel tap w_first + t * w_step, t = 0 .. taps - 1. So each
 * phase is a convolution of stride 1 over dy; a phase without taps has gradient zero. */
typedef struct tlvk__phase { int64_t first, count, taps, offset, step, w_first, w_step; } tlvk__phase;
tlvk__phase tlvk__backward_phase(int64_t first, int64_t size, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad);

/* to (+)= sum over parts, ascending, of from[part]: `count` vec4 each. */
tlvk_status tlvk__record_sum_parts(tlvk__recorder *r, tlvk__span from, int64_t parts, int64_t count, tlvk__binding to, uint32_t to_base, bool accumulate,
                                   const char *operation, const char *layer);
/* Column sums of dy over all samples into db; scratch of tlvk__column_sums_bytes. */
uint64_t tlvk__column_sums_bytes(const tlvk__tensor *dy);
tlvk_status tlvk__record_column_sums(tlvk__recorder *r, const tlvk__tensor *dy, const tlvk__tensor *db, bool accumulate, tlvk__span scratch,
                                     const char *operation, const char *layer);

#endif
