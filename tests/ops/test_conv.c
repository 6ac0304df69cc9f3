/* test_conv.c - convolutions and Dense at the sizes of real layers: the adjoint identity, bits that do not depend on the batch, weights larger
 * than a binding; padding and error texts against what TensorFlow does. Small cases against the reference: test_ops.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "ops/attrs.h"
#include "ops/convolution.h"
#include "ops/winograd.h"
#include "support/device.h"

static tlvk__device *floor_device;

static int setup(void **state) {
    if (tlvk__device_create(&(tlvk__device_desc){.floor = true}, &floor_device))
        floor_device = NULL;
    return test_device_setup(state);
}

static int teardown(void **state) {
    tlvk__device_destroy(floor_device);
    return test_device_teardown(state);
}

/* --- one layer on a device ----------------------------------------------------------------------------------------------------------------- */

typedef struct held { tlvk__tensor t; tlvk__span span; float *values; size_t count; } held; /* values: padded */

static void hold(tlvk__device *d, held *h) {
    uint64_t bytes;
    assert_true(tlvk__tensor_bytes(&h->t, &bytes));
    h->count = (size_t)(bytes / sizeof(float));
    h->t.segment_n = h->t.n;
    h->t.segment_count = 1;
    h->t.segments = &h->span;
    h->span.bytes = bytes;
    h->values = calloc(h->count, sizeof(float));
    assert_non_null(h->values);
    assert_ok(tlvk__buffer_create(d, TLVK__BUFFER_DEVICE, bytes, "a test", &h->span.buffer));
}

/* Dense random numbers in (-1, 1), zeros between the last channel and the pitch. */
static void fill(tlvk__device *d, held *h, uint64_t seed, const tlvk__variable_spec *variable) {
    tlvk__rng rng;
    tlvk__rng_seed(&rng, seed, 0);
    int64_t dense = h->t.n * h->t.rows * h->t.c;
    if (variable)
        assert_true(tlvk__shape_elements(&variable->shape, &dense));
    float *values = malloc((size_t)dense * sizeof(float));
    assert_non_null(values);
    for (int64_t i = 0; i < dense; i++)
        values[i] = (float)(tlvk__rng_u32(&rng) >> 8) * 0x1p-23f - 1.0f;
    if (variable)
        tlvk__variable_pack(&variable->shape, variable->layout, values, h->values);
    else
        tlvk__activation_pack(&h->t, h->t.n, values, h->values);
    free(values);
    assert_ok(tlvk__tensor_write(d, &h->t, h->values));
}

static void drop(held *h) {
    tlvk__buffer_destroy(h->span.buffer);
    free(h->values);
}

static double dot(const held *a, const held *b) {
    double sum = 0;
    for (size_t i = 0; i < a->count; i++)
        sum += (double)a->values[i] * (double)b->values[i];
    return sum;
}

typedef struct layer {
    const tlvk__op *op;
    tlvk__op_call call;
    tlvk__variable_spec spec[TLVK__MAX_VARIABLES];
    held x, y, w, dx, dw;
    tlvk__buffer *room[2];
} layer;

static void layer_make(tlvk__device *d, const tlvk__op *op, const void *attrs, const tlvk__shape *x, layer *l) {
    tlvk__shape y;
    *l = (layer){.op = op};
    assert_ok(op->shape(attrs, 1, x, &y));
    op->variables(attrs, 1, x, l->spec);
    assert_ok(tlvk__tensor_from_shape(x, &l->x.t));
    assert_ok(tlvk__tensor_from_shape(&y, &l->y.t));
    assert_ok(tlvk__variable_layout(&l->spec[0].shape, l->spec[0].layout, &l->w.t));
    l->dx.t = l->x.t;
    l->dw.t = l->w.t;
    hold(d, &l->x);
    hold(d, &l->y);
    hold(d, &l->w);
    hold(d, &l->dx);
    hold(d, &l->dw);
    /* The gradient of the output is the output itself. */
    l->call = (tlvk__op_call){.attrs = attrs, .layer = "layer", .inputs = 1, .x = {&l->x.t}, .y = &l->y.t, .w = {&l->w.t}, .dy = &l->y.t,
                              .epilogue = {.activation = tlvk__activation_of(TLVK_LINEAR)}};
    tlvk__op_needs needs = {0};
    assert_ok(op->needs(tlvk__device_caps(d), &l->call, true, true, &needs));
    const uint64_t bytes[2] = {needs.packed_bytes, TLVK__MAX(needs.forward_scratch_bytes, needs.backward_scratch_bytes)};
    for (int i = 0; i < 2; i++)
        if (bytes[i]) {
            assert_ok(tlvk__buffer_create(d, TLVK__BUFFER_DEVICE, bytes[i], "a test", &l->room[i]));
            *(i ? &l->call.scratch : &l->call.packed) = (tlvk__span){l->room[i], 0, bytes[i]};
        }
}

static void layer_drop(layer *l) {
    drop(&l->x);
    drop(&l->y);
    drop(&l->w);
    drop(&l->dx);
    drop(&l->dw);
    tlvk__buffer_destroy(l->room[0]);
    tlvk__buffer_destroy(l->room[1]);
}

static void layer_run(tlvk__device *d, layer *l, bool backward) {
    tlvk__recorder *r;
    tlvk__recording *rec;
    assert_ok(tlvk__recorder_create(d, NULL, &r));
    if (l->op->pack)
        assert_ok(l->op->pack(r, &l->call));
    assert_ok(l->op->forward(r, &l->call));
    if (backward) {
        l->call.dx[0] = &l->dx.t;
        l->call.dw[0] = &l->dw.t;
        assert_ok(l->op->backward(r, &l->call));
    }
    assert_ok(tlvk__recorder_finish(r, &rec));
    assert_ok(tlvk__recording_run(rec));
    tlvk__recording_destroy(rec);
    assert_ok(tlvk__tensor_read(d, &l->y.t, l->y.values));
    if (backward) {
        assert_ok(tlvk__tensor_read(d, &l->dx.t, l->dx.values));
        assert_ok(tlvk__tensor_read(d, &l->dw.t, l->dw.values));
    }
}

/* --- <conv(x,w),y> = <x,dX(y)> = <w,dW(x,y)>, here with y = conv(x,w), so that nothing cancels ------------------------------------------------ */

static void adjoint(tlvk__device *d, const tlvk__op *op, const void *attrs, tlvk__shape x) {
    layer l;
    char text[96];
    layer_make(d, op, attrs, &x, &l);
    fill(d, &l.x, 1, NULL);
    fill(d, &l.w, 2, &l.spec[0]);
    layer_run(d, &l, true);
    double yy = dot(&l.y, &l.y), xdx = dot(&l.x, &l.dx), wdw = dot(&l.w, &l.dw);
    /* Each is a sum of positive terms in y: relative errors of a float32 chain, c * u * sqrt(K), averaged over many elements. */
    if (!(yy > 0) || fabs(xdx - yy) > 2e-6 * yy || fabs(wdw - yy) > 2e-6 * yy)
        fail_msg("%s of %s: <y,y> %.9g, <x,dx> off by %.2g of it, <w,dw> by %.2g", op->class_name, tlvk__shape_text(&x, text, sizeof text), yy,
                 fabs(xdx - yy) / yy, fabs(wdw - yy) / yy);
    layer_drop(&l);
}

typedef struct size { int n, h, w, c, filters, kernel[2], stride; tlvk_padding padding; bool portable_too; } size;
static const size conv_sizes[] = {
    {1, 224, 224, 3, 64, {3, 3}, 1, TLVK_SAME, true},     /* VGG16 block1_conv1 */
    {1, 112, 112, 128, 128, {3, 3}, 1, TLVK_SAME, false}, /* VGG16 block2_conv2 */
    {2, 56, 56, 256, 256, {3, 3}, 1, TLVK_SAME, false},   /* VGG16 block3_conv2 */
    {1, 14, 14, 512, 512, {3, 3}, 1, TLVK_SAME, true},    /* VGG16 block5 */
    {1, 230, 230, 3, 64, {7, 7}, 2, TLVK_VALID, true},    /* ResNet50 conv1 */
    {2, 56, 56, 256, 128, {1, 1}, 2, TLVK_VALID, true},   /* ResNet50 conv3 reduce */
    {2, 17, 17, 160, 192, {1, 7}, 1, TLVK_SAME, true},    /* InceptionV3 */
    {2, 17, 17, 160, 192, {7, 1}, 1, TLVK_SAME, true},
    {1, 147, 147, 32, 64, {3, 3}, 1, TLVK_SAME, false},
    {2, 19, 19, 728, 728, {1, 1}, 1, TLVK_SAME, true},    /* Xception block5 */
    {2, 112, 112, 16, 8, {1, 1}, 1, TLVK_SAME, true},     /* MobileNetV2 0.35 */
    {4, 7, 7, 320, 1280, {1, 1}, 1, TLVK_SAME, true},     /* MobileNetV2 Conv_1 */
};

static void conv_adjoints(tlvk__device *d, bool portable) {
    for (size_t i = 0; i < TLVK__COUNT(conv_sizes); i++) {
        const size *s = &conv_sizes[i];
        tlvk__conv2d_attrs a = {0};
        tlvk__op_conv2d.defaults(&a);
        a.filters = s->filters;
        memcpy(a.kernel_size, s->kernel, sizeof a.kernel_size);
        a.strides[0] = a.strides[1] = s->stride;
        a.padding = s->padding;
        a.use_bias = false;
        if (!portable || s->portable_too)
            adjoint(d, &tlvk__op_conv2d, &a, (tlvk__shape){4, {s->n, s->h, s->w, s->c}});
    }
}

/* Channels in groups, wide and narrow, and the transposed convolution. */
static void grouped_and_transposed_adjoints(tlvk__device *d) {
    static const struct { int c, filters, groups; } sizes[] = {{128, 128, 32}, {96, 64, 2}, {30, 45, 15}};
    for (size_t i = 0; i < TLVK__COUNT(sizes); i++) {
        tlvk__conv2d_attrs a = {0};
        tlvk__op_conv2d.defaults(&a);
        a.filters = sizes[i].filters;
        a.groups = sizes[i].groups;
        a.kernel_size[0] = a.kernel_size[1] = 3;
        a.strides[0] = a.strides[1] = 2;
        a.padding = TLVK_SAME;
        a.use_bias = false;
        adjoint(d, &tlvk__op_conv2d, &a, (tlvk__shape){4, {2, 28, 27, sizes[i].c}});
    }
    tlvk__conv2d_transpose_attrs t = {0};
    tlvk__op_conv2d_transpose.defaults(&t);
    t.filters = 48;
    t.kernel_size[0] = t.kernel_size[1] = 4;
    t.strides[0] = t.strides[1] = 2;
    t.padding = TLVK_SAME;
    t.use_bias = false;
    adjoint(d, &tlvk__op_conv2d_transpose, &t, (tlvk__shape){4, {2, 14, 15, 80}});
}

static void depthwise_adjoints(tlvk__device *d) {
    static const size sizes[] = {{2, 112, 112, 32, 0, {3, 3}, 1, TLVK_SAME, true},  {2, 113, 113, 64, 0, {3, 3}, 2, TLVK_VALID, true},
                                 {4, 14, 14, 512, 0, {3, 3}, 1, TLVK_SAME, true},   {2, 28, 28, 240, 0, {5, 5}, 1, TLVK_SAME, true},
                                 {2, 19, 19, 728, 0, {3, 3}, 1, TLVK_SAME, true},   {1, 37, 37, 256, 0, {3, 3}, 2, TLVK_SAME, true}};
    for (size_t i = 0; i < TLVK__COUNT(sizes); i++) {
        tlvk__depthwise_conv2d_attrs a = {0};
        tlvk__op_depthwise_conv2d.defaults(&a);
        memcpy(a.kernel_size, sizes[i].kernel, sizeof a.kernel_size);
        a.strides[0] = a.strides[1] = sizes[i].stride;
        a.padding = sizes[i].padding;
        a.use_bias = false;
        adjoint(d, &tlvk__op_depthwise_conv2d, &a, (tlvk__shape){4, {sizes[i].n, sizes[i].h, sizes[i].w, sizes[i].c}});
    }
}

static void dense_adjoint(tlvk__device *d, int64_t n, int64_t in, int units) {
    tlvk__dense_attrs a = {.units = units};
    adjoint(d, &tlvk__op_dense, &a, (tlvk__shape){2, {n, in}});
}

static void adjoints(void **state) {
    (void)state;
    tlvk__device *d = test_device();
    conv_adjoints(d, false);
    grouped_and_transposed_adjoints(d);
    depthwise_adjoints(d);
    dense_adjoint(d, 32, 2048, 1000);
}

static void adjoints_portable(void **state) {
    (void)state;
    test_device();
    assert_non_null(floor_device);
    conv_adjoints(floor_device, true);
    grouped_and_transposed_adjoints(floor_device);
    depthwise_adjoints(floor_device);
    dense_adjoint(floor_device, 32, 2048, 1000);
}

/* 25088 x 1536 floats are 154 MB, more than a binding of 128 MiB. */
static void weights_beyond_a_binding(void **state) {
    (void)state;
    dense_adjoint(test_device(), 3, 25088, 1536);
    if (floor_device)
        dense_adjoint(floor_device, 3, 25088, 1536);
}

/* A Conv2DTranspose whose kernel of 52 kB is walked in parts: forward, and the gradient of x, which also adds to what is there. */
static void transposed_weights_in_parts(void **state) {
    (void)state;
    tlvk__device *d = test_device();
    tlvk__caps *caps = (tlvk__caps *)tlvk__device_caps(d);
    uint64_t limit = caps->max_binding_bytes;
    tlvk__conv2d_transpose_attrs a = {0};
    tlvk__op_conv2d_transpose.defaults(&a);
    a.filters = 40;
    a.kernel_size[0] = a.kernel_size[1] = 3;
    a.strides[0] = a.strides[1] = 2;
    a.padding = TLVK_SAME;
    tlvk__op_case c = {.name = "kernel in parts", .inputs = 1, .x = {{4, {2, 2, 3, 33}}}, .epilogue = tlvk__activation_of(TLVK_RELU)};
    memcpy(c.attrs.bytes, &a, sizeof a);
    tlvk__check result;
    caps->max_binding_bytes = 12288;
    tlvk_status s = tlvk__check_case(d, &tlvk__op_conv2d_transpose, &c, 5, 0, &result);
    caps->max_binding_bytes = limit;
    assert_ok(s);
    if (!result.ok)
        fail_msg("%s", result.message);
}

/* --- the same bits in any batch, at any place ---------------------------------------------------------------------------------------------------- */

static void same_bits(tlvk__device *d, const tlvk__op *op, const void *attrs, tlvk__shape x) {
    const int64_t batch = 5;
    layer whole, alone;
    tlvk__shape one = x;
    x.dim[0] = batch;
    one.dim[0] = 1;
    layer_make(d, op, attrs, &x, &whole);
    layer_make(d, op, attrs, &one, &alone);
    fill(d, &whole.x, 3, NULL);
    fill(d, &whole.w, 4, &whole.spec[0]);
    fill(d, &alone.w, 4, &alone.spec[0]);
    layer_run(d, &whole, false);
    for (int64_t i = 0; i < batch; i++) {
        memcpy(alone.x.values, whole.x.values + (size_t)i * alone.x.count, alone.x.count * sizeof(float));
        assert_ok(tlvk__tensor_write(d, &alone.x.t, alone.x.values));
        layer_run(d, &alone, false);
        if (memcmp(alone.y.values, whole.y.values + (size_t)i * alone.y.count, alone.y.count * sizeof(float)) != 0)
            fail_msg("%s: sample %d alone has other bits than in a batch of %d", op->class_name, (int)i, (int)batch);
    }
    layer_drop(&whole);
    layer_drop(&alone);
}

static void batch_independent(tlvk__device *d) {
    tlvk__conv2d_attrs conv = {0};
    tlvk__op_conv2d.defaults(&conv);
    conv.filters = 48;
    conv.kernel_size[0] = conv.kernel_size[1] = 3;
    conv.padding = TLVK_SAME;
    same_bits(d, &tlvk__op_conv2d, &conv, (tlvk__shape){4, {1, 13, 11, 20}});
    conv.strides[0] = conv.strides[1] = 2;
    same_bits(d, &tlvk__op_conv2d, &conv, (tlvk__shape){4, {1, 4, 3, 33}});
    conv.groups = 3;
    same_bits(d, &tlvk__op_conv2d, &conv, (tlvk__shape){4, {1, 9, 7, 33}});
    tlvk__conv2d_transpose_attrs transposed = {0};
    tlvk__op_conv2d_transpose.defaults(&transposed);
    transposed.filters = 20;
    transposed.kernel_size[0] = transposed.kernel_size[1] = 3;
    transposed.strides[0] = transposed.strides[1] = 2;
    same_bits(d, &tlvk__op_conv2d_transpose, &transposed, (tlvk__shape){4, {1, 7, 6, 33}});
    tlvk__depthwise_conv2d_attrs depthwise = {0};
    tlvk__op_depthwise_conv2d.defaults(&depthwise);
    depthwise.kernel_size[0] = depthwise.kernel_size[1] = 3;
    same_bits(d, &tlvk__op_depthwise_conv2d, &depthwise, (tlvk__shape){4, {1, 9, 10, 17}});
    tlvk__dense_attrs dense = {.units = 70};
    same_bits(d, &tlvk__op_dense, &dense, (tlvk__shape){2, {1, 301}});
}

static void bits_of_a_sample(void **state) {
    (void)state;
    batch_independent(test_device());
    if (floor_device)
        batch_independent(floor_device);
}

/* --- the shuffle core without texel buffers -------------------------------------------------------------------------------------------------------- */

/* The worst error as a part of its bound. */
static double small_cases(tlvk__device *d, const tlvk__op *op, int64_t pieces, bool mixed) {
    double worst = 0;
    tlvk__op_case c = {.epilogue = tlvk__activation_of(TLVK_LINEAR)};
    for (int i = 0; op->test_case(i, &c); i++, c = (tlvk__op_case){.epilogue = tlvk__activation_of(TLVK_LINEAR)}) {
        tlvk__check result;
        if (c.real_size)
            continue;
        c.mixed = mixed;
        assert_ok(tlvk__check_case(d, op, &c, 21 + (uint64_t)i, pieces, &result));
        if (!result.ok)
            fail_msg("%s \"%s\", pieces of %d: %s", op->class_name, c.name, (int)pieces, result.message);
        worst = fmax(worst, result.worst);
    }
    return worst;
}

/* A device whose texel buffers are too small for its bindings reads storage buffers. */
static void storage_buffers(void **state) {
    (void)state;
    static const tlvk__op *const ops[] = {&tlvk__op_conv2d, &tlvk__op_conv2d_transpose, &tlvk__op_depthwise_conv2d, &tlvk__op_separable_conv2d, &tlvk__op_dense};
    tlvk__device *d = test_device();
    tlvk__caps *caps = (tlvk__caps *)tlvk__device_caps(d);
    uint64_t texels = caps->max_texels;
    caps->max_texels = 65536;
    for (size_t i = 0; i < TLVK__COUNT(ops); i++)
        for (int64_t pieces = 0; pieces <= 2; pieces += 2)
            small_cases(d, ops[i], pieces, false);
    caps->max_texels = texels;
}

/* --- fp16 operands ------------------------------------------------------------------------------------------------------------------------------------ */

/* Shapes around the tiles of the cooperative core, which are 64 and 128 elements wide and 32 deep. */
static const struct { int n, h, w, c, filters, kernel, stride; } mixed_sizes[] = {
    {1, 8, 8, 32, 64, 1, 1}, {2, 9, 7, 33, 65, 1, 1}, {1, 11, 13, 20, 127, 3, 1}, {2, 15, 14, 128, 132, 1, 1}, {3, 17, 17, 12, 128, 3, 2}, {1, 16, 16, 40, 200, 3, 1},
};

/* Products of fp16 against the bound of rounded operands, whole and in pieces; then the same bits in any batch. That operands were rounded shows in
 * errors that are far beyond those of fp32. */
static void mixed_products(void **state) {
    (void)state;
    static const tlvk__op *const ops[] = {&tlvk__op_conv2d, &tlvk__op_conv2d_transpose, &tlvk__op_separable_conv2d, &tlvk__op_dense};
    tlvk__device *d = test_device();
    if (!tlvk__device_caps(d)->matrix_m)
        skip();
    for (int64_t pieces = 0; pieces <= 2; pieces += 2) {
        double worst = 0;
        for (size_t i = 0; i < TLVK__COUNT(ops); i++)
            worst = fmax(worst, small_cases(d, ops[i], pieces, true));
        for (size_t i = 0; i < TLVK__COUNT(mixed_sizes); i++) {
            tlvk__conv2d_attrs a = {0};
            tlvk__op_conv2d.defaults(&a);
            a.filters = mixed_sizes[i].filters;
            a.kernel_size[0] = a.kernel_size[1] = mixed_sizes[i].kernel;
            a.strides[0] = a.strides[1] = mixed_sizes[i].stride;
            a.padding = TLVK_SAME;
            tlvk__op_case c = {.inputs = 1, .x = {{4, {mixed_sizes[i].n, mixed_sizes[i].h, mixed_sizes[i].w, mixed_sizes[i].c}}}, .mixed = true,
                               .epilogue = tlvk__activation_of(TLVK_RELU), .scale_shift = i % 2};
            snprintf(c.name, sizeof c.name, "mixed case %d", (int)i);
            memcpy(c.attrs.bytes, &a, sizeof a);
            tlvk__check result;
            assert_ok(tlvk__check_case(d, &tlvk__op_conv2d, &c, 51 + i, pieces, &result));
            if (!result.ok)
                fail_msg("\"%s\", pieces of %d: %s", c.name, (int)pieces, result.message);
            worst = fmax(worst, result.worst);
        }
        print_message("mixed, pieces of %d: the worst error was %.3f of its bound\n", (int)pieces, worst);
        assert_true(worst > 0.1);
    }
}

/* --- Winograd -------------------------------------------------------------------------------------------------------------------------------------- */

/* Heights and widths around multiples of the tile, channels around those of a vec4, a chunk and a panel; padding of every kind. */
static const struct { int n, h, w, c, filters; tlvk_padding padding; int around[4]; } winograd_sizes[] = {
    {2, 1, 1, 1, 1, TLVK_SAME, {0}},       {1, 3, 3, 3, 5, TLVK_VALID, {0}},      {3, 4, 9, 4, 4, TLVK_SAME, {0}},    {2, 6, 6, 5, 33, TLVK_VALID, {0}},
    {1, 13, 7, 17, 31, TLVK_SAME, {0}},    {2, 8, 11, 32, 40, TLVK_SAME, {0}},    {1, 5, 6, 9, 8, TLVK_VALID, {1, 0, 0, 1}}, {2, 7, 4, 6, 7, TLVK_VALID, {3, 2, 4, 0}},
    {1, 20, 19, 36, 68, TLVK_SAME, {0}},   {9, 17, 18, 12, 12, TLVK_SAME, {0}},
};

static double winograd_cases(tlvk__device *d, int64_t pieces) {
    double worst = 0;
    for (size_t i = 0; i < TLVK__COUNT(winograd_sizes); i++) {
        tlvk__conv2d_attrs a = {0};
        tlvk__op_conv2d.defaults(&a);
        a.filters = winograd_sizes[i].filters;
        a.kernel_size[0] = a.kernel_size[1] = 3;
        a.padding = winograd_sizes[i].padding;
        a.use_bias = i % 2;
        memcpy(a.zero_padding, winograd_sizes[i].around, sizeof a.zero_padding);
        tlvk__op_case c = {.inputs = 1, .x = {{4, {winograd_sizes[i].n, winograd_sizes[i].h, winograd_sizes[i].w, winograd_sizes[i].c}}},
                           .epilogue = tlvk__activation_of(i % 3 ? TLVK_RELU : TLVK_SIGMOID), .scale_shift = i % 4 > 1};
        snprintf(c.name, sizeof c.name, "Winograd case %d", (int)i);
        memcpy(c.attrs.bytes, &a, sizeof a);
        tlvk__check result;
        assert_ok(tlvk__check_case(d, &tlvk__op_conv2d, &c, 31 + i, pieces, &result));
        if (!result.ok)
            fail_msg("\"%s\", pieces of %d: %s", c.name, (int)pieces, result.message);
        worst = fmax(worst, result.worst);
    }
    return worst;
}

/* Every 3x3 convolution of stride 1 by Winograd, and none: each against bounds of its own, whole and in pieces; then the same bits in any batch,
 * and the adjoint identity. */
static void winograd_forced(tlvk__device *d) {
    tlvk__caps *caps = (tlvk__caps *)tlvk__device_caps(d);
    static const tlvk__winograd choices[] = {TLVK__WINOGRAD_ALWAYS, TLVK__WINOGRAD_NEVER};
    tlvk__conv2d_attrs a = {0};
    tlvk__op_conv2d.defaults(&a);
    a.filters = 48;
    a.kernel_size[0] = a.kernel_size[1] = 3;
    a.padding = TLVK_SAME;
    a.use_bias = false;
    for (size_t i = 0; i < TLVK__COUNT(choices); i++) {
        double worst = 0;
        caps->winograd = choices[i];
        for (int64_t pieces = 0; pieces <= 2; pieces += 2) {
            worst = fmax(worst, winograd_cases(d, pieces));
            small_cases(d, &tlvk__op_conv2d, pieces, false);
        }
        print_message("%s Winograd: worst error %.3f of its bound\n", i ? "without" : "by", worst);
        same_bits(d, &tlvk__op_conv2d, &a, (tlvk__shape){4, {1, 23, 22, 20}});
        adjoint(d, &tlvk__op_conv2d, &a, (tlvk__shape){4, {2, 57, 30, 36}});
    }
    caps->winograd = TLVK__WINOGRAD_BY_SHAPE;
}

/* Tiles in several parts, also where a device is no processor and its bindings hold few of them. */
static void winograd_in_parts(void **state) {
    (void)state;
    tlvk__device *d = test_device();
    tlvk__caps *caps = (tlvk__caps *)tlvk__device_caps(d), kept = *caps;
    caps->winograd = TLVK__WINOGRAD_ALWAYS;
    snprintf(caps->type, sizeof caps->type, "other");
    caps->max_binding_bytes = 200000;
    double worst = winograd_cases(d, 0);
    *caps = kept;
    print_message("worst error %.3f of its bound\n", worst);
}

/* What the rule takes: by shape alone, never by the batch. */
static void winograd_rule(void **state) {
    (void)state;
    static const struct { int h, w, cin, cout; bool forward, backward; } rows[] = {
        {224, 224, 3, 64, false, false}, {224, 224, 64, 64, true, true}, {56, 56, 32, 32, false, false}, {28, 28, 128, 32, true, true},
        {14, 14, 512, 512, true, true},  {7, 7, 512, 512, true, false},  {4, 4, 512, 512, false, false}};
    tlvk__caps caps;
    tlvk__caps_fixed(&caps);
    for (size_t i = 0; i < TLVK__COUNT(rows); i++) {
        tlvk__conv_shape s = {.h = rows[i].h, .w = rows[i].w, .oh = rows[i].h, .ow = rows[i].w, .kh = 3, .kw = 3, .stride = {1, 1}, .dilation = {1, 1}, .pad = {1, 1},
                              .cin_vecs = tlvk__pitch(rows[i].cin) / 4, .cout_vecs = rows[i].cout / 4, .cout = rows[i].cout};
        assert_int_equal(tlvk__winograd_chosen(&caps, &s, TLVK__GEMM_FORWARD), rows[i].forward);
        assert_int_equal(tlvk__winograd_chosen(&caps, &s, TLVK__GEMM_DATA), rows[i].backward);
        assert_int_equal(tlvk__winograd_chosen(&caps, &s, TLVK__GEMM_WEIGHTS), rows[i].backward);
        s.stride[1] = 2;
        assert_false(tlvk__winograd_chosen(&caps, &s, TLVK__GEMM_FORWARD));
    }
}

static void winograd(void **state) {
    (void)state;
    winograd_forced(test_device());
    if (floor_device)
        winograd_forced(floor_device);
}

/* --- shapes ---------------------------------------------------------------------------------------------------------------------------------------- */

/* Output sizes and padding by TensorFlow's rule: (in, kernel, stride, dilation) -> out, before. */
static void padding_of_tensorflow(void **state) {
    (void)state;
    static const int rows[][6] = {{5, 3, 1, 1, 5, 1}, {6, 3, 2, 1, 3, 0}, {7, 3, 2, 1, 4, 1}, {8, 4, 1, 1, 8, 1}, {7, 5, 3, 1, 3, 2},
                                  {10, 3, 1, 2, 10, 2}, {1, 7, 1, 1, 1, 3}, {7, 1, 2, 1, 4, 0}, {224, 7, 2, 1, 112, 2}};
    for (size_t i = 0; i < TLVK__COUNT(rows); i++) {
        const int *r = rows[i], kernel[2] = {r[1], 1}, stride[2] = {r[2], 1}, dilation[2] = {r[3], 1};
        tlvk__kernel_window k = {kernel, stride, dilation, TLVK_SAME, NULL};
        tlvk__shape x = {4, {-1, r[0], 3, 1}};
        int64_t out[2];
        assert_ok(tlvk__window_shape("Conv2D", &k, 1, &x, out));
        assert_int_equal(out[0], r[4]);
        assert_int_equal(tlvk__window_pad(&k, 0, r[0], out[0]), r[5]);
    }
}

static void refusals(void **state) {
    (void)state;
    tlvk__conv2d_attrs a = {0};
    tlvk__shape x = {4, {-1, 5, 5, 3}}, y;
    tlvk__op_conv2d.defaults(&a);
    a.filters = 4;
    a.kernel_size[0] = a.kernel_size[1] = 7;
    assert_int_equal(tlvk__op_conv2d.shape(&a, 1, &x, &y), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk__fail_text(), "kernel 7x7 does not fit input 5x5 with padding valid"));
    a.padding = TLVK_SAME;
    assert_ok(tlvk__op_conv2d.shape(&a, 1, &x, &y));
    a.groups = 2;
    assert_int_equal(tlvk__op_conv2d.shape(&a, 1, &x, &y), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk__fail_text(), "groups=2 of 3 channels and 4 filters"));
    a.groups = 1;
    a.strides[0] = a.dilation_rate[0] = 2;
    assert_int_equal(tlvk__op_conv2d.shape(&a, 1, &x, &y), TLVK_ERROR_ARGUMENT);
    tlvk__dense_attrs dense = {.units = 3};
    x.dim[3] = -1;
    assert_int_equal(tlvk__op_dense.shape(&dense, 1, &x, &y), TLVK_ERROR_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(padding_of_tensorflow), cmocka_unit_test(refusals), cmocka_unit_test(adjoints), cmocka_unit_test(adjoints_portable),
        cmocka_unit_test(weights_beyond_a_binding), cmocka_unit_test(transposed_weights_in_parts),
        cmocka_unit_test(bits_of_a_sample), cmocka_unit_test(storage_buffers), cmocka_unit_test(mixed_products), cmocka_unit_test(winograd),
        cmocka_unit_test(winograd_in_parts), cmocka_unit_test(winograd_rule),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
