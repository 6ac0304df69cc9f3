/* convolution.c - checks, padding and output shapes of a window that slides over an image; error bounds of sums. */
#include "ops/convolution.h"

#include <math.h>
#include <stdio.h>

tlvk_status tlvk__window_shape(const char *class_name, const tlvk__kernel_window *k, int inputs, const tlvk__shape *x, int64_t out[2]) {
    tlvk_status s = tlvk__expect_image(class_name, inputs, x);
    if (s)
        return s;
    for (int i = 0; i < 2; i++)
        if (k->kernel_size[i] < 1 || k->strides[i] < 1 || k->dilation_rate[i] < 1)
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: kernel_size %dx%d, strides %dx%d, dilation_rate %dx%d: all must be at least 1", class_name,
                              k->kernel_size[0], k->kernel_size[1], k->strides[0], k->strides[1], k->dilation_rate[0], k->dilation_rate[1]);
    if ((k->strides[0] > 1 || k->strides[1] > 1) && (k->dilation_rate[0] > 1 || k->dilation_rate[1] > 1))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: strides %dx%d with dilation_rate %dx%d: as in Keras, only one of them may exceed 1", class_name,
                          k->strides[0], k->strides[1], k->dilation_rate[0], k->dilation_rate[1]);
    for (int i = 0; i < 2; i++) {
        int64_t around = k->zero_padding ? (int64_t)k->zero_padding[2 * i] + k->zero_padding[2 * i + 1] : 0;
        int64_t in = x->dim[1 + i] < 0 ? -1 : x->dim[1 + i] + around, reach = (int64_t)(k->kernel_size[i] - 1) * k->dilation_rate[i] + 1;
        if (reach > INT32_MAX / 4)
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: a kernel of %d positions, %d apart, is larger than any image", class_name, k->kernel_size[i], k->dilation_rate[i]);
        out[i] = in < 0 ? -1 : tlvk__div_up(k->padding == TLVK_SAME ? in : in - reach + 1, k->strides[i]);
        if (in >= 0 && (in < 1 || (k->padding == TLVK_VALID && in < reach))) {
            char apart[64] = "";
            if (k->dilation_rate[0] > 1 || k->dilation_rate[1] > 1)
                snprintf(apart, sizeof apart, " (dilation_rate %dx%d)", k->dilation_rate[0], k->dilation_rate[1]);
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "kernel %dx%d%s does not fit input %lldx%lld with padding %s; it needs at least %lld %s", k->kernel_size[0],
                              k->kernel_size[1], apart, (long long)x->dim[1], (long long)x->dim[2], k->padding == TLVK_SAME ? "same" : "valid",
                              (long long)(k->padding == TLVK_SAME ? 1 : reach), i == 0 ? "rows" : "columns");
        }
    }
    return TLVK_OK;
}

int64_t tlvk__window_pad(const tlvk__kernel_window *k, int axis, int64_t in, int64_t out) {
    if (k->padding == TLVK_VALID)
        return k->zero_padding ? k->zero_padding[2 * axis] : 0;
    int64_t total = (out - 1) * k->strides[axis] + (int64_t)(k->kernel_size[axis] - 1) * k->dilation_rate[axis] + 1 - in;
    return TLVK__MAX(total, 0) / 2;
}

void tlvk__window_text(const tlvk__kernel_window *k, char *text, size_t size) {
    int n = snprintf(text, size, "%s %dx%d", k->padding == TLVK_SAME ? "same" : "valid", k->kernel_size[0], k->kernel_size[1]);
    if ((k->strides[0] != 1 || k->strides[1] != 1) && n > 0 && (size_t)n < size)
        n += snprintf(text + n, size - (size_t)n, " s%dx%d", k->strides[0], k->strides[1]);
    if ((k->dilation_rate[0] != 1 || k->dilation_rate[1] != 1) && n > 0 && (size_t)n < size)
        n += snprintf(text + n, size - (size_t)n, " d%dx%d", k->dilation_rate[0], k->dilation_rate[1]);
    const int *z = k->zero_padding;
    if (z && (z[0] || z[1] || z[2] || z[3]) && n > 0 && (size_t)n < size)
        snprintf(text + n, size - (size_t)n, " z%d,%d,%d,%d", z[0], z[1], z[2], z[3]);
}

double tlvk__dot_bound(double terms, double magnitude) {
    return TLVK__U * (2 + 2 * sqrt(terms)) * magnitude;
}

static double largest(const tlvk__ref_tensor *t) {
    double m = 0;
    size_t count = tlvk__ref_count(t);
    for (size_t i = 0; i < count; i++)
        m = fmax(m, fabs(t->v[i]));
    return m;
}

void tlvk__bound_products(const tlvk__ref_call *call, tlvk__ref_tensor *t, double terms, const tlvk__ref_tensor *a, const tlvk__ref_tensor *b) {
    bool mixed = call->mixed && call->caps && call->caps->matrix_m;
    double small = mixed ? 0x1p-25 * terms * (largest(a) + largest(b)) : 0;
    size_t count = tlvk__ref_count(t);
    for (size_t i = 0; t->e && i < count; i++)
        t->e[i] = mixed ? 0x1.01p-10 * t->e[i] + small + 2 * tlvk__dot_bound(terms, t->e[i]) : tlvk__dot_bound(terms, t->e[i]);
}

tlvk__variable_spec tlvk__weights_spec(const char *name, tlvk__shape shape, tlvk__layout layout, const tlvk__initializer *init,
                                       tlvk_initializer_kind fallback, const tlvk_regularizer *regularizer) {
    tlvk__variable_spec v = {.name = name, .shape = shape, .layout = layout, .trainable = true, .initializer = *init, .regularizer = *regularizer};
    if (v.initializer.kind == TLVK_INIT_DEFAULT)
        v.initializer = (tlvk__initializer){.kind = fallback};
    return v;
}

void tlvk__reference_bias(const tlvk__ref_tensor *dy, tlvk__ref_tensor *db) {
    int64_t c = db->shape.dim[0], rows = (int64_t)tlvk__ref_count(dy) / c;
    for (int64_t i = 0; i < c; i++) {
        double sum = 0, magnitude = 0;
        for (int64_t row = 0; row < rows; row++) {
            sum += dy->v[row * c + i];
            magnitude += fabs(dy->v[row * c + i]);
        }
        db->v[i] = sum;
        if (db->e)
            db->e[i] = tlvk__dot_bound((double)rows, magnitude);
    }
}
