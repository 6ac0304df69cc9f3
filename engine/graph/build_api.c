/* build_api.c - the public building calls: descriptors whose zero means Keras's default, resolved here and nowhere else. */
#include "graph/internal.h"

#include <math.h>
#include <string.h>

float tlvk__build_number(float given, float otherwise) { return given == 0 ? otherwise : given == TLVK_ZERO ? 0 : given; }

void tlvk__build_pair(int to[2], const int given[2], int otherwise) {
    to[0] = given[0] ? given[0] : otherwise;
    to[1] = given[1] ? given[1] : to[0];
}

void tlvk__build_initializer(tlvk__initializer *to, tlvk_initializer_kind kind) {
    if (kind == TLVK_INIT_DEFAULT)
        return;
    *to = (tlvk__initializer){.kind = kind};
    if (kind == TLVK_RANDOM_UNIFORM || kind == TLVK_RANDOM_NORMAL || kind == TLVK_TRUNCATED_NORMAL)
        to->value = 0.05f; /* Keras's stddev and half range */
    if (kind == TLVK_VARIANCE_SCALING)
        to->value = 1;
}

tlvk_tensor tlvk__build_apply(const char *call, const tlvk__op *op, const void *attrs, const char *name, bool trainable, const tlvk_tensor *x,
                              int count) {
    tlvk_context *ctx = NULL;
    for (int i = 0; i < count; i++) {
        if (x[i].node && x[i].node->error)
            return x[i];
        if (x[i].node && !ctx)
            ctx = x[i].node->ctx;
    }
    if (!ctx) {
        tlvk__context_fail(NULL, tlvk__fail_after(TLVK_ERROR_ARGUMENT, "%s: its input is empty: a model or a tensor before it is NULL", call));
        return (tlvk_tensor){NULL, 0};
    }
    tlvk_layer *layer;
    tlvk_status st = tlvk__layer_create(ctx, op, attrs, name, trainable, &layer);
    if (st)
        return tlvk__error_tensor(ctx, st, "%s: %s", call, tlvk__fail_text());
    tlvk_tensor y = tlvk__call(layer, x, count, TLVK_CALL_DEFAULT);
    tlvk__layer_release(layer);
    return y;
}

tlvk_tensor tlvk__build_missing(tlvk_tensor x, const char *call, const char *what) {
    if (x.node && x.node->error)
        return x;
    tlvk_context *ctx = x.node ? x.node->ctx : NULL;
    tlvk_status status = tlvk__fail_after(TLVK_ERROR_ARGUMENT, "%s: %s", call, what);
    return tlvk__error_tensor(ctx, status, "%s", tlvk__fail_text());
}

tlvk_tensor tlvk_input(tlvk_context *ctx, const tlvk_input_desc *desc) {
    if (!ctx || !desc) {
        tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_input: the %s is NULL", ctx ? "desc" : "context"));
        return (tlvk_tensor){NULL, 0};
    }
    int rank = desc->rank;
    while (desc->rank == 0 && rank < TLVK_MAX_DIMS && desc->shape[rank] != 0)
        rank++;
    if (rank < 1 || rank > TLVK__MAX_RANK - 1)
        return tlvk__error_tensor(ctx, TLVK_ERROR_ARGUMENT, "tlvk_input: a shape of %d dimensions; 1 to %d and the batch are possible", rank,
                                  TLVK__MAX_RANK - 1);
    tlvk__input_attrs attrs = {.batch_shape = {.rank = rank + 1, .dim = {-1}}};
    for (int i = 0; i < rank; i++)
        attrs.batch_shape.dim[i + 1] = desc->shape[i];
    tlvk_layer *layer;
    tlvk_status st = tlvk__layer_create(ctx, &tlvk__op_input, &attrs, desc->name, true, &layer);
    if (st)
        return tlvk__error_tensor(ctx, st, "tlvk_input: %s", tlvk__fail_text());
    tlvk_tensor x = tlvk__call(layer, NULL, 0, TLVK_CALL_DEFAULT);
    tlvk__layer_release(layer);
    return x;
}

/* --- convolutions and Dense ----------------------------------------------------------------------------------------------- */

tlvk_tensor tlvk_conv2d(tlvk_tensor x, const tlvk_conv2d_desc *desc) {
    if (!desc)
        return tlvk__build_missing(x, "tlvk_conv2d", "desc is NULL; filters and kernel_size have no defaults");
    if (desc->filters < 1 || desc->kernel_size[0] < 1)
        return tlvk__build_missing(x, "tlvk_conv2d", "filters and kernel_size have no defaults, both must be at least 1");
    tlvk__conv2d_attrs a = {0};
    tlvk__op_conv2d.defaults(&a);
    a.filters = desc->filters;
    a.groups = desc->groups ? desc->groups : 1;
    tlvk__build_pair(a.kernel_size, desc->kernel_size, 1);
    tlvk__build_pair(a.strides, desc->strides, 1);
    tlvk__build_pair(a.dilation_rate, desc->dilation_rate, 1);
    a.padding = desc->padding;
    a.use_bias = !desc->no_bias;
    a.activation = tlvk__activation_of(desc->activation);
    tlvk__build_initializer(&a.kernel_initializer, desc->kernel_initializer);
    a.kernel_regularizer = desc->kernel_regularizer;
    a.bias_regularizer = desc->bias_regularizer;
    return tlvk__build_apply("tlvk_conv2d", &tlvk__op_conv2d, &a, desc->name, !desc->not_trainable, &x, 1);
}

tlvk_tensor tlvk_depthwise_conv2d(tlvk_tensor x, const tlvk_depthwise_conv2d_desc *desc) {
    if (!desc || desc->kernel_size[0] < 1)
        return tlvk__build_missing(x, "tlvk_depthwise_conv2d", "kernel_size has no default, it must be at least 1");
    tlvk__depthwise_conv2d_attrs a = {0};
    tlvk__op_depthwise_conv2d.defaults(&a);
    tlvk__build_pair(a.kernel_size, desc->kernel_size, 1);
    tlvk__build_pair(a.strides, desc->strides, 1);
    tlvk__build_pair(a.dilation_rate, desc->dilation_rate, 1);
    a.depth_multiplier = desc->depth_multiplier ? desc->depth_multiplier : 1;
    a.padding = desc->padding;
    a.use_bias = !desc->no_bias;
    a.activation = tlvk__activation_of(desc->activation);
    tlvk__build_initializer(&a.depthwise_initializer, desc->depthwise_initializer);
    a.depthwise_regularizer = desc->depthwise_regularizer;
    a.bias_regularizer = desc->bias_regularizer;
    return tlvk__build_apply("tlvk_depthwise_conv2d", &tlvk__op_depthwise_conv2d, &a, desc->name, !desc->not_trainable, &x, 1);
}

tlvk_tensor tlvk_separable_conv2d(tlvk_tensor x, const tlvk_separable_conv2d_desc *desc) {
    if (!desc || desc->filters < 1 || desc->kernel_size[0] < 1)
        return tlvk__build_missing(x, "tlvk_separable_conv2d", "filters and kernel_size have no defaults, both must be at least 1");
    tlvk__separable_conv2d_attrs a = {0};
    tlvk__op_separable_conv2d.defaults(&a);
    a.filters = desc->filters;
    tlvk__build_pair(a.kernel_size, desc->kernel_size, 1);
    tlvk__build_pair(a.strides, desc->strides, 1);
    tlvk__build_pair(a.dilation_rate, desc->dilation_rate, 1);
    a.depth_multiplier = desc->depth_multiplier ? desc->depth_multiplier : 1;
    a.padding = desc->padding;
    a.use_bias = !desc->no_bias;
    a.activation = tlvk__activation_of(desc->activation);
    tlvk__build_initializer(&a.depthwise_initializer, desc->depthwise_initializer);
    tlvk__build_initializer(&a.pointwise_initializer, desc->pointwise_initializer);
    a.depthwise_regularizer = desc->depthwise_regularizer;
    a.pointwise_regularizer = desc->pointwise_regularizer;
    a.bias_regularizer = desc->bias_regularizer;
    return tlvk__build_apply("tlvk_separable_conv2d", &tlvk__op_separable_conv2d, &a, desc->name, !desc->not_trainable, &x, 1);
}

tlvk_tensor tlvk_dense(tlvk_tensor x, const tlvk_dense_desc *desc) {
    if (!desc || desc->units < 1)
        return tlvk__build_missing(x, "tlvk_dense", "units has no default, it must be at least 1");
    tlvk__dense_attrs a = {0};
    tlvk__op_dense.defaults(&a);
    a.units = desc->units;
    a.use_bias = !desc->no_bias;
    a.activation = tlvk__activation_of(desc->activation);
    tlvk__build_initializer(&a.kernel_initializer, desc->kernel_initializer);
    a.kernel_regularizer = desc->kernel_regularizer;
    a.bias_regularizer = desc->bias_regularizer;
    return tlvk__build_apply("tlvk_dense", &tlvk__op_dense, &a, desc->name, !desc->not_trainable, &x, 1);
}

tlvk_tensor tlvk_batch_normalization(tlvk_tensor x, const tlvk_batch_normalization_desc *desc) {
    const tlvk_batch_normalization_desc d = desc ? *desc : (tlvk_batch_normalization_desc){0};
    tlvk__batch_normalization_attrs a = {0};
    tlvk__op_batch_normalization.defaults(&a);
    a.momentum = tlvk__build_number(d.momentum, 0.99f);
    a.epsilon = tlvk__build_number(d.epsilon, 1e-3f);
    a.center = !d.no_center;
    a.scale = !d.no_scale;
    return tlvk__build_apply("tlvk_batch_normalization", &tlvk__op_batch_normalization, &a, d.name, !d.not_trainable, &x, 1);
}

/* --- pooling, padding, shapes ----------------------------------------------------------------------------------------------- */

static tlvk_tensor pool(const char *call, const tlvk__op *op, tlvk_tensor x, const tlvk_pooling2d_desc *desc) {
    const tlvk_pooling2d_desc d = desc ? *desc : (tlvk_pooling2d_desc){0};
    tlvk__pooling2d_attrs a = {0};
    op->defaults(&a);
    tlvk__build_pair(a.pool_size, d.pool_size, 2);
    if (d.strides[0])
        tlvk__build_pair(a.strides, d.strides, 1);
    else
        memcpy(a.strides, a.pool_size, sizeof a.strides);
    a.padding = d.padding;
    return tlvk__build_apply(call, op, &a, d.name, true, &x, 1);
}

tlvk_tensor tlvk_max_pooling2d(tlvk_tensor x, const tlvk_pooling2d_desc *desc) { return pool("tlvk_max_pooling2d", &tlvk__op_max_pooling2d, x, desc); }

tlvk_tensor tlvk_average_pooling2d(tlvk_tensor x, const tlvk_pooling2d_desc *desc) {
    return pool("tlvk_average_pooling2d", &tlvk__op_average_pooling2d, x, desc);
}

static tlvk_tensor global_pool(const char *call, const tlvk__op *op, tlvk_tensor x, const char *name) {
    tlvk__global_pooling2d_attrs a = {0};
    op->defaults(&a);
    return tlvk__build_apply(call, op, &a, name, true, &x, 1);
}

tlvk_tensor tlvk_global_average_pooling2d(tlvk_tensor x, const char *name) {
    return global_pool("tlvk_global_average_pooling2d", &tlvk__op_global_average_pooling2d, x, name);
}

tlvk_tensor tlvk_global_max_pooling2d(tlvk_tensor x, const char *name) {
    return global_pool("tlvk_global_max_pooling2d", &tlvk__op_global_max_pooling2d, x, name);
}

static tlvk_tensor pad(const char *call, const tlvk__op *op, tlvk_tensor x, const tlvk_padding2d_desc *desc) {
    tlvk__padding2d_attrs a = {0};
    op->defaults(&a); /* Keras: 1 on every side for ZeroPadding2D, 0 for Cropping2D */
    if (desc)
        a = (tlvk__padding2d_attrs){{desc->top, desc->bottom, desc->left, desc->right}};
    return tlvk__build_apply(call, op, &a, desc ? desc->name : NULL, true, &x, 1);
}

tlvk_tensor tlvk_zero_padding2d(tlvk_tensor x, const tlvk_padding2d_desc *desc) { return pad("tlvk_zero_padding2d", &tlvk__op_zero_padding2d, x, desc); }
tlvk_tensor tlvk_cropping2d(tlvk_tensor x, const tlvk_padding2d_desc *desc) { return pad("tlvk_cropping2d", &tlvk__op_cropping2d, x, desc); }

tlvk_tensor tlvk__build_merge(const char *call, const tlvk__op *op, const tlvk_tensor *x, int count, const char *name) {
    union { unsigned char bytes[TLVK__ATTR_BYTES]; double align; } a = {{0}};
    if (!x || count < 1) {
        tlvk__context_fail(NULL, tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: the list of tensors is empty", call));
        return (tlvk_tensor){NULL, 0};
    }
    if (op->defaults)
        op->defaults(&a);
    return tlvk__build_apply(call, op, &a, name, true, x, count);
}

tlvk_tensor tlvk_add(const tlvk_tensor *x, int count, const char *name) { return tlvk__build_merge("tlvk_add", &tlvk__op_add, x, count, name); }
tlvk_tensor tlvk_multiply(const tlvk_tensor *x, int count, const char *name) { return tlvk__build_merge("tlvk_multiply", &tlvk__op_multiply, x, count, name); }
tlvk_tensor tlvk_concatenate(const tlvk_tensor *x, int count, const char *name) {
    return tlvk__build_merge("tlvk_concatenate", &tlvk__op_concatenate, x, count, name);
}
tlvk_tensor tlvk_flatten(tlvk_tensor x, const char *name) { return tlvk__build_merge("tlvk_flatten", &tlvk__op_flatten, &x, 1, name); }

tlvk_tensor tlvk_reshape(tlvk_tensor x, const int64_t *shape, int rank, const char *name) {
    if (!shape || rank < 1 || rank > TLVK__MAX_RANK - 1)
        return tlvk__build_missing(x, "tlvk_reshape", "the target shape has no dimensions, or too many");
    tlvk__reshape_attrs a = {0};
    tlvk__op_reshape.defaults(&a);
    a.target_shape = (tlvk__shape){.rank = rank};
    for (int i = 0; i < rank; i++)
        a.target_shape.dim[i] = shape[i];
    return tlvk__build_apply("tlvk_reshape", &tlvk__op_reshape, &a, name, true, &x, 1);
}

/* --- element by element ------------------------------------------------------------------------------------------------------- */

tlvk_tensor tlvk_dropout(tlvk_tensor x, float rate, const char *name) {
    tlvk__dropout_attrs a = {.rate = rate};
    return tlvk__build_apply("tlvk_dropout", &tlvk__op_dropout, &a, name, true, &x, 1);
}

tlvk_tensor tlvk_rescaling(tlvk_tensor x, float scale, float offset, const char *name) {
    tlvk__rescaling_attrs a = {tlvk__one_float(scale), tlvk__one_float(offset)};
    return tlvk__build_apply("tlvk_rescaling", &tlvk__op_rescaling, &a, name, true, &x, 1);
}

static tlvk_tensor activate(const char *call, const tlvk__op *op, tlvk_tensor x, const tlvk__activation *activation, const char *name) {
    tlvk__activation_attrs a = {.activation = *activation};
    return tlvk__build_apply(call, op, &a, name, true, &x, 1);
}

tlvk_tensor tlvk_activation(tlvk_tensor x, tlvk_activation_kind kind, const char *name) {
    tlvk__activation a = tlvk__activation_of(kind);
    return activate("tlvk_activation", &tlvk__op_activation, x, &a, name);
}

tlvk_tensor tlvk_relu(tlvk_tensor x, const tlvk_relu_desc *desc) {
    const tlvk_relu_desc d = desc ? *desc : (tlvk_relu_desc){0};
    tlvk__activation_attrs a = {0};
    tlvk__op_relu.defaults(&a);
    a.activation.max_value = tlvk__build_number(d.max_value, INFINITY);
    a.activation.alpha = tlvk__build_number(d.negative_slope, 0);
    a.activation.threshold = tlvk__build_number(d.threshold, 0);
    return tlvk__build_apply("tlvk_relu", &tlvk__op_relu, &a, d.name, true, &x, 1);
}

tlvk_tensor tlvk_leaky_relu(tlvk_tensor x, float negative_slope, const char *name) {
    tlvk__activation a = tlvk__activation_of(TLVK_LEAKY_RELU);
    a.alpha = negative_slope;
    return activate("tlvk_leaky_relu", &tlvk__op_leaky_relu, x, &a, name);
}

tlvk_tensor tlvk_elu(tlvk_tensor x, float alpha, const char *name) {
    tlvk__activation a = tlvk__activation_of(TLVK_ELU);
    a.alpha = alpha;
    return activate("tlvk_elu", &tlvk__op_elu, x, &a, name);
}

tlvk_tensor tlvk_softmax(tlvk_tensor x, const char *name) {
    tlvk__activation a = tlvk__activation_of(TLVK_SOFTMAX);
    return activate("tlvk_softmax", &tlvk__op_softmax, x, &a, name);
}
