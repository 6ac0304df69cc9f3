/* selftest_curve.c - a small fine-tuning on the device, beside the same in double on the host: a base of one convolution that is frozen at first and trained
 * afterwards, a head of Dense with softmax, SGD with momentum. Hides: the host's training, which shares no code with the device's. */
#include "train/selftest.h"
#include "train/training.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 8, CHANNELS = 3, FILTERS = 6, CLASSES = 3, SAMPLES = 48, BATCH = 16, EPOCHS = 5, PHASES = 2, PIXELS = SIDE * SIDE };
enum { KERNEL = 9 * CHANNELS * FILTERS, DENSE = FILTERS * CLASSES, WEIGHTS = KERNEL + FILTERS + DENSE + CLASSES };
static const double rate = 0.1, momentum = 0.9;
/* Thirty steps, each of which passes on what a loss of the size of 1 errs: 16 units of 2^-24. */
static const double curve_bound = 3e-5;

typedef struct curve { double loss[PHASES * EPOCHS]; float weights[WEIGHTS]; } curve;
typedef struct host { double w[WEIGHTS], v[WEIGHTS], g[WEIGHTS]; double z[PIXELS][FILTERS]; } host;

/* Pictures whose class is the channel that is brightest on average. */
static void draw(uint64_t seed, float *x, float *y) {
    tlvk__rng rng;
    tlvk__rng_seed(&rng, seed, 0x637276);
    for (int i = 0; i < SAMPLES; i++) {
        y[i] = (float)(i % CLASSES);
        for (int k = 0; k < PIXELS * CHANNELS; k++) x[i * PIXELS * CHANNELS + k] = (float)(tlvk__rng_uniform(&rng) + (k % CHANNELS == i % CLASSES ? 0.5 : 0.0) - 0.5);
    }
}

/* --- on the host ----------------------------------------------------------------------------------------------------------------------------- */

/* What tap number t (row by row) sees at a pixel; NULL: padding. */
static const float *seen(const float *x, int pixel, int t) {
    const int row = pixel / SIDE + t / 3 - 1, column = pixel % SIDE + t % 3 - 1;
    return row < 0 || row >= SIDE || column < 0 || column >= SIDE ? NULL : x + (row * SIDE + column) * CHANNELS;
}

/* Convolution before its ReLU. */
static void convolve(host *h, const float *x) {
    for (int p = 0; p < PIXELS; p++)
        for (int f = 0; f < FILTERS; f++) {
            double sum = h->w[KERNEL + f];
            for (int t = 0; t < 9; t++)
                for (int c = 0; seen(x, p, t) && c < CHANNELS; c++) sum += (double)seen(x, p, t)[c] * h->w[(t * CHANNELS + c) * FILTERS + f];
            h->z[p][f] = sum;
        }
}

/* Adds a sample's gradients; returns its loss. d: the loss's gradient at the logits, which softmax and cross-entropy together make p - y. */
static double pass(host *h, const float *x, int label, bool base) {
    const double *dense = h->w + KERNEL + FILTERS;
    double mean[FILTERS] = { 0 }, d[CLASSES], sum = 0;
    convolve(h, x);
    for (int p = 0; p < PIXELS; p++)
        for (int f = 0; f < FILTERS; f++) mean[f] += fmax(h->z[p][f], 0) / PIXELS;
    for (int k = 0; k < CLASSES; k++) {
        double logit = dense[DENSE + k];
        for (int f = 0; f < FILTERS; f++) logit += mean[f] * dense[f * CLASSES + k];
        sum += d[k] = exp(logit);
    }
    const double loss = log(sum) - log(d[label]);
    for (int k = 0; k < CLASSES; k++) {
        d[k] = (d[k] / sum - (k == label)) / BATCH;
        h->g[KERNEL + FILTERS + DENSE + k] += d[k];
    }
    for (int f = 0; f < FILTERS; f++) {
        double slope = 0;
        for (int k = 0; k < CLASSES; k++) {
            h->g[KERNEL + FILTERS + f * CLASSES + k] += mean[f] * d[k];
            slope += dense[f * CLASSES + k] * d[k] / PIXELS;
        }
        for (int p = 0; base && p < PIXELS; p++) {
            if (h->z[p][f] <= 0) continue;
            h->g[KERNEL + f] += slope;
            for (int t = 0; t < 9; t++)
                for (int c = 0; seen(x, p, t) && c < CHANNELS; c++) h->g[(t * CHANNELS + c) * FILTERS + f] += slope * (double)seen(x, p, t)[c];
        }
    }
    return loss;
}

/* As Keras's SGD: v = momentum * v - rate * g, w += v. */
static void expect(host *h, const float *x, const float *y, curve *out) {
    for (int epoch = 0; epoch < PHASES * EPOCHS; epoch++) {
        const bool base = epoch >= EPOCHS;
        if (epoch % EPOCHS == 0) memset(h->v, 0, sizeof h->v);
        for (int i = 0; i < SAMPLES; i++) {
            out->loss[epoch] += pass(h, x + i * PIXELS * CHANNELS, (int)y[i], base) / SAMPLES;
            for (int k = base ? 0 : KERNEL + FILTERS; i % BATCH == BATCH - 1 && k < WEIGHTS; k++) h->w[k] += h->v[k] = momentum * h->v[k] - rate * h->g[k];
            if (i % BATCH == BATCH - 1) memset(h->g, 0, sizeof h->g);
        }
    }
}

/* --- on the device ----------------------------------------------------------------------------------------------------------------------------- */

static tlvk_status read_weights(const tlvk_model *model, float weights[WEIGHTS]) {
    tlvk__variable *list[4];
    size_t at = 0;
    if (tlvk__model_variables(model, list, NULL, 4) != 4) return tlvk__fail(TLVK_ERROR_INTERNAL, "self-test: the small network has other weights than it was given");
    for (int i = 0; i < 4; i++) {
        const float *values;
        tlvk_status st = tlvk__variable_values(list[i], &values);
        if (st || at + list[i]->elements > WEIGHTS) return st ? st : tlvk__fail(TLVK_ERROR_INTERNAL, "self-test: the small network has more weights than it was given");
        memcpy(weights + at, values, list[i]->elements * sizeof(float));
        at += list[i]->elements;
    }
    return TLVK_OK;
}

static tlvk_status build(tlvk_context *ctx, tlvk_model **model) {
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { SIDE, SIDE, CHANNELS } });
    tlvk_tensor x = tlvk_conv2d(in, &(tlvk_conv2d_desc){ .filters = FILTERS, .kernel_size = { 3 }, .padding = TLVK_SAME, .activation = TLVK_RELU, .name = "base" });
    x = tlvk_global_average_pooling2d(x, NULL);
    x = tlvk_dense(x, &(tlvk_dense_desc){ .units = CLASSES, .activation = TLVK_SOFTMAX });
    return tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { x } }, model);
}

static tlvk_status train(tlvk_model *model, tlvk_dataset *data, curve *out) {
    tlvk_status st = TLVK_OK;
    for (int phase = 0; !st && phase < PHASES; phase++) {
        tlvk_history *history = NULL;
        st = tlvk_model_set_trainable(model, "base", phase > 0);
        if (!st) st = tlvk_model_compile(model, &(tlvk_compile_desc){ .optimizer = { .kind = TLVK_SGD, .learning_rate = (float)rate, .momentum = (float)momentum }, .deterministic = true });
        if (!st) st = tlvk_model_fit(model, data, &(tlvk_fit_desc){ .epochs = EPOCHS }, &history);
        for (int epoch = 0; !st && epoch < EPOCHS; epoch++) {
            tlvk_logs logs;
            st = tlvk_history_logs(history, epoch, &logs);
            out->loss[phase * EPOCHS + epoch] = logs.loss;
        }
        tlvk_history_destroy(history);
    }
    return st ? st : read_weights(model, out->weights);
}

/* first: the weights before, NULL where they are not wanted. */
static tlvk_status fine_tune(tlvk_context *ctx, uint64_t seed, const float *x, const float *y, float *first, curve *out) {
    tlvk_model *model = NULL;
    tlvk_dataset *data = NULL;
    tlvk_set_random_seed(ctx, seed);
    tlvk_status st = build(ctx, &model);
    if (!st) st = tlvk_dataset_from_arrays(ctx, &(tlvk_array_desc){ .x = x, .x_shape = { SAMPLES, SIDE, SIDE, CHANNELS }, .y = y, .y_shape = { SAMPLES }, .batch_size = BATCH, .no_shuffle = true }, &data);
    if (!st && first) st = read_weights(model, first);
    if (!st) st = train(model, data, out);
    tlvk_dataset_destroy(data);
    tlvk_model_destroy(model);
    return st;
}

static void compare(const curve *device, const curve *expected, tlvk__check *check) {
    *check = (tlvk__check){ .ok = true, .bound = curve_bound };
    for (int i = 0; i < PHASES * EPOCHS; i++) {
        const double error = fabs(device->loss[i] - expected->loss[i]);
        check->max_error = fmax(check->max_error, error);
        if (!(error <= curve_bound) && check->ok) {
            check->ok = false;
            snprintf(check->message, sizeof check->message, "the loss of epoch %d is %.6g, it should be %.6g", i + 1, device->loss[i], expected->loss[i]);
        }
    }
    check->worst = check->max_error / curve_bound;
    if (check->ok && !(expected->loss[PHASES * EPOCHS - 1] < 0.7 * expected->loss[0])) {
        check->ok = false;
        snprintf(check->message, sizeof check->message, "nothing was learnt: the loss went from %.6g to %.6g", expected->loss[0], expected->loss[PHASES * EPOCHS - 1]);
    }
}

tlvk_status tlvk__selftest_curve(tlvk__selftest *t) {
    static const char *const names[] = { "fine-tuning: losses as in double on the host", "fine-tuning: the same bits again" };
    if (!tlvk__selftest_wants(t, names[0]) && !tlvk__selftest_wants(t, names[1])) return TLVK_OK;
    float *x = tlvk__calloc(SAMPLES * PIXELS * CHANNELS, sizeof *x), y[SAMPLES], first[WEIGHTS];
    host *h = tlvk__calloc(1, sizeof *h);
    curve expected = { .loss = { 0 } }, device = { .loss = { 0 } }, again = { .loss = { 0 } };
    tlvk__check check = { .ok = true };
    tlvk_status st = x && h ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a self-test");
    if (!st) draw(t->desc->seed + 1, x, y);
    if (!st) st = fine_tune(t->ctx, t->desc->seed + 1, x, y, first, &device);
    for (int k = 0; !st && k < WEIGHTS; k++) h->w[k] = (double)first[k];
    if (!st) expect(h, x, y, &expected);
    if (!st) compare(&device, &expected, &check);
    if (tlvk__selftest_wants(t, names[0])) st = tlvk__selftest_tell(t, names[0], false, st, &check);
    if (!st && tlvk__selftest_wants(t, names[1])) {
        check = (tlvk__check){ .ok = true };
        st = fine_tune(t->ctx, t->desc->seed + 1, x, y, NULL, &again);
        check.ok = !st && memcmp(device.weights, again.weights, sizeof again.weights) == 0 && memcmp(device.loss, again.loss, sizeof again.loss) == 0;
        if (!check.ok) snprintf(check.message, sizeof check.message, "a second training with the same seed ends in other bits");
        st = tlvk__selftest_tell(t, names[1], false, st, &check);
    }
    free(x);
    free(h);
    return st;
}
