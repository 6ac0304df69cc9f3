/* loss.c - losses and metrics on the device: which kernel constants a loss comes to, and how millions of rows are summed in fixed order.
 *
 * Stage one (shaders/loss.comp) gives every workgroup a fixed number of rows and leaves one vec4 of sums each; stage two
 * (shaders/loss_finish.comp) is one workgroup that adds them. Which rows a workgroup gets depends on the shapes and pieces alone.
 *
 * With p the predictions, t the (smoothed) targets, w the sample's weight, N = n * rows, and K = clip to [1e-7, 1 - 1e-7]:
 *   categorical, logits   sum -t log softmax(y)        dy = w/N (softmax(y) - t)             (TensorFlow's own kernel: exact where t sums to 1)
 *   categorical           r = y / sum y, sum -t log K(r)  dy = w/N (g - sum g r) / sum y, g = -t / K(r) inside the clip, 0 outside
 *   sparse, logits        as categorical with one 1 in t
 *   sparse                log sum K(y) - log K(y_t)    dy = w/N (1 / sum K(y) - [j = t] / K(y)) inside the clip, 0 outside
 *   binary, logits        max(y,0) - y t + log(1 + exp(-|y|)), mean over c     dy = w/(N c) (sigmoid(y) - t)
 *   binary                -t log K(y) - (1-t) log(1 - K(y)), mean over c       dy = w/(N c) ((1-t)/(1-K(y)) - t/K(y)) inside the clip, 0 outside
 *   squared               (y - t)^2, mean over c       dy = w/(N c) 2 (y - t)
 * clip_by_value passes the gradient where 1e-7 <= value <= 1 - 1e-7 in float32, the ends included. */
#include "ops/loss.h"


#define LONG_ROW 64            /* channels from which a workgroup shares a row */
#define ROWS_PER_GROUP 1024    /* of short rows: 16 per invocation */
#define LONG_ROWS_PER_GROUP 16
#define PARTIAL_BYTES 16

typedef struct loss_push {
    uint32_t rows, rows_per_sample, c, y_pitch, t_pitch, rows_per_group;
    uint32_t y_base, t_base, w_base, dy_base, partial;
    float smooth_scale, smooth_shift, gradient_scale;
    uint32_t scaling_base;
} loss_push;

typedef struct finish_push {
    uint32_t count, partial, metrics_base;
    float rows_per_sample, predictions;
} finish_push;

static const char *loss_name(tlvk_loss_kind kind) {
    switch (kind) {
    case TLVK_CATEGORICAL_CROSSENTROPY: return "categorical_crossentropy";
    case TLVK_SPARSE_CATEGORICAL_CROSSENTROPY: return "sparse_categorical_crossentropy";
    case TLVK_BINARY_CROSSENTROPY: return "binary_crossentropy";
    case TLVK_MEAN_SQUARED_ERROR: return "mean_squared_error";
    default: return "auto";
    }
}

static tlvk_status setup_loss(const tlvk_loss *loss, bool logits, int64_t c, int64_t target_c, tlvk__loss_setup *s) {
    const char *name = loss_name(loss->kind);
    double smoothing = (double)loss->label_smoothing;
    if (!(smoothing >= 0.0 && smoothing <= 1.0))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: label_smoothing is %g, not between 0 and 1", name, smoothing);
    if (smoothing > 0.0 && (loss->kind == TLVK_SPARSE_CATEGORICAL_CROSSENTROPY || loss->kind == TLVK_MEAN_SQUARED_ERROR))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s has no label smoothing; categorical_crossentropy and binary_crossentropy have", name);
    if ((logits || loss->from_logits) && loss->kind == TLVK_MEAN_SQUARED_ERROR)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "mean_squared_error knows no logits");
    int64_t wanted = loss->kind == TLVK_SPARSE_CATEGORICAL_CROSSENTROPY ? 1 : c;
    if (target_c != wanted)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s of predictions with %lld values each needs targets of %lld, not %lld", name, (long long)c,
                          (long long)wanted, (long long)target_c);
    *s = (tlvk__loss_setup){.smooth_scale = 1.0f, .values_per_row = 1};
    switch (loss->kind) {
    case TLVK_CATEGORICAL_CROSSENTROPY:
        s->kind = TLVK__LOSS_CATEGORICAL;
        s->smooth_scale = (float)(1.0 - smoothing);
        s->smooth_shift = (float)(smoothing / (double)c);
        break;
    case TLVK_SPARSE_CATEGORICAL_CROSSENTROPY:
        s->kind = TLVK__LOSS_SPARSE;
        break;
    case TLVK_BINARY_CROSSENTROPY:
        s->kind = TLVK__LOSS_BINARY;
        s->smooth_scale = (float)(1.0 - smoothing);
        s->smooth_shift = (float)(0.5 * smoothing);
        s->values_per_row = c;
        break;
    case TLVK_MEAN_SQUARED_ERROR:
        s->kind = TLVK__LOSS_SQUARED;
        s->values_per_row = c;
        break;
    default:
        return tlvk__fail(TLVK_ERROR_INTERNAL, "the loss is still to be chosen");
    }
    return TLVK_OK;
}

static tlvk_status setup_metric(tlvk_metric_kind metric, int64_t c, int64_t target_c, tlvk__loss_setup *s) {
    /* keras/src/trainers/compile_utils.py, is_binary_or_sparse_categorical */
    if (metric == TLVK_ACCURACY)
        metric = c == 1 ? TLVK_BINARY_ACCURACY : target_c == 1 ? TLVK_SPARSE_CATEGORICAL_ACCURACY : TLVK_CATEGORICAL_ACCURACY;
    int64_t wanted = c;
    const char *name = "binary_accuracy";
    s->predictions_per_row = 1;
    switch (metric) {
    case TLVK_BINARY_ACCURACY:
        s->metric = TLVK__COUNT_BINARY;
        s->predictions_per_row = c;
        break;
    case TLVK_CATEGORICAL_ACCURACY:
        s->metric = TLVK__COUNT_CATEGORICAL;
        name = "categorical_accuracy";
        break;
    case TLVK_SPARSE_CATEGORICAL_ACCURACY:
        s->metric = TLVK__COUNT_SPARSE;
        name = "sparse_categorical_accuracy";
        wanted = 1;
        break;
    case TLVK_METRIC_MSE:
        s->metric = TLVK__COUNT_SQUARED;
        name = "mean_squared_error";
        s->predictions_per_row = c;
        break;
    default:
        s->metric = TLVK__COUNT_NONE;
        s->predictions_per_row = 0;
        wanted = target_c;
        break;
    }
    if (target_c != wanted)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "metric %s of predictions with %lld values each needs targets of %lld, the loss has targets of %lld", name,
                          (long long)c, (long long)wanted, (long long)target_c);
    return TLVK_OK;
}

tlvk_status tlvk__loss_setup_of(const tlvk_loss *loss, bool logits, tlvk_metric_kind metric, int64_t c, int64_t target_c, tlvk__loss_setup *s) {
    tlvk_status status = setup_loss(loss, logits, c, target_c, s);
    if (!status)
        status = setup_metric(metric, c, target_c, s);
    if (status)
        return status;
    bool categorical = s->kind == TLVK__LOSS_CATEGORICAL || s->kind == TLVK__LOSS_SPARSE;
    /* softmax and sigmoid keep the order, so only what looks at the values themselves needs them. */
    bool by_value = s->metric == TLVK__COUNT_BINARY || s->metric == TLVK__COUNT_SQUARED;
    if (logits && !loss->from_logits && by_value)
        s->output = categorical ? TLVK__OUTPUT_SOFTMAX : TLVK__OUTPUT_SIGMOID;
    s->softmax = (logits && categorical) || s->output == TLVK__OUTPUT_SOFTMAX;
    return TLVK_OK;
}

static int64_t rows_per_group(int64_t c) {
    return c >= LONG_ROW ? LONG_ROWS_PER_GROUP : ROWS_PER_GROUP;
}

uint64_t tlvk__loss_scratch_bytes(const tlvk__loss_call *call) {
    /* However the batch is cut into pieces, there are at most n of them, and each rounds its groups up once. */
    int64_t rows = call->y->n * call->y->rows;
    return (uint64_t)(rows / rows_per_group(call->y->c) + call->y->n) * PARTIAL_BYTES;
}

static tlvk_status check_call(const tlvk__loss_call *call) {
    const tlvk__tensor *y = call->y, *t = call->target, *w = call->sample_weight, *dy = call->dy;
    if (t->n != y->n || t->rows != y->rows)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "predictions are %lld samples of %lld rows, targets %lld of %lld", (long long)y->n, (long long)y->rows,
                          (long long)t->n, (long long)t->rows);
    if (w && (w->n != y->n || w->rows != 1 || w->c != 1))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "sample weights are %lld x %lld x %lld; one for each of %lld samples is needed", (long long)w->n,
                          (long long)w->rows, (long long)w->c, (long long)y->n);
    if (dy && (dy->n != y->n || dy->rows != y->rows || dy->c != y->c))
        return tlvk__fail(TLVK_ERROR_INTERNAL, "the gradient's shape is not that of the predictions");
    if (call->metrics.bytes < TLVK__METRIC_WORDS * sizeof(float) || call->scratch.bytes < tlvk__loss_scratch_bytes(call))
        return tlvk__fail(TLVK_ERROR_INTERNAL, "metrics (%llu bytes) or scratch (%llu bytes) of the loss are too small",
                          (unsigned long long)call->metrics.bytes, (unsigned long long)call->scratch.bytes);
    return TLVK_OK;
}

static bool runs_as_few(const tlvk__caps *caps) { return tlvk__few_buffers(caps, 6); }

/* Samples whose weights are read at once: as texels where buffers are few. */
static int64_t weights_held(const tlvk__caps *caps) {
    return runs_as_few(caps) ? (int64_t)TLVK__MIN(TLVK__MAX(tlvk__texel_room(caps), 1), INT64_MAX) : INT64_MAX;
}

/* Stage one for samples [n0, n1): partial sums go behind the first `*partials`, which grows by how many there are. */
static tlvk_status record_piece(tlvk__recorder *r, const tlvk__loss_call *call, const tlvk__loss_setup *s, const tlvk__piece *p, uint32_t *partials) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__tensor *y = call->y;
    bool few = runs_as_few(caps);
    int64_t rows = (p->n1 - p->n0) * y->rows, per_group = rows_per_group(y->c), groups = tlvk__div_up(rows, per_group);
    double samples = (double)(call->batch_samples ? call->batch_samples : y->n), values = samples * (double)y->rows * (double)s->values_per_row;
    double weight = call->gradient_weight != 0 ? (double)call->gradient_weight : 1;
    loss_push push = {.rows = (uint32_t)rows, .rows_per_sample = (uint32_t)y->rows, .c = (uint32_t)y->c, .y_pitch = (uint32_t)y->pitch,
                      .t_pitch = (uint32_t)call->target->pitch, .rows_per_group = (uint32_t)per_group, .smooth_scale = s->smooth_scale,
                      .smooth_shift = s->smooth_shift, .gradient_scale = (float)(weight / values)};
    tlvk__dispatch d = {.shader = few ? "loss_few" : "loss", .binding_count = 6, .push = &push, .push_bytes = sizeof push, .groups = {(uint64_t)groups, 1, 1},
                        .operation = "loss", .layer = call->layer};
    const tlvk__spec specs[] = {{"KIND", s->kind}, {"LOGITS", call->logits}, {"METRIC", s->metric}, {"OUTPUT", s->output},
                                {"LANES", y->c >= LONG_ROW ? 64 : 1}, {"GRADIENT", call->dy != NULL}, {"WEIGHTED", call->sample_weight != NULL},
                                {"SOFTMAX", s->softmax}, {"SCALED", call->scaling.buffer != NULL}};
    for (size_t i = 0; i < TLVK__COUNT(specs); i++)
        d.specs[i] = specs[i];
    uint32_t scratch_base;
    d.bindings[0] = tlvk__tensor_window(caps, y, p->n0, p->n1, TLVK__READ, &push.y_base);
    d.bindings[1] = tlvk__tensor_window(caps, call->target, p->n0, p->n1, TLVK__READ, &push.t_base);
    d.bindings[4] = tlvk__span_window(caps, call->scratch, TLVK__WRITE, &scratch_base);
    /* Bindings the constants leave unused still need a buffer. */
    tlvk__span little = {call->scratch.buffer, call->scratch.offset, PARTIAL_BYTES};
    tlvk__binding unused = few ? tlvk__span_window(caps, little, TLVK__READ, &push.w_base) : d.bindings[0];
    d.bindings[2] = call->sample_weight ? tlvk__tensor_window(caps, call->sample_weight, p->n0, p->n1, TLVK__READ, &push.w_base) : unused;
    d.bindings[3] = call->dy ? tlvk__tensor_window(caps, call->dy, p->n0, p->n1, TLVK__WRITE, &push.dy_base) : d.bindings[4];
    d.bindings[5] = call->scaling.buffer ? tlvk__span_window(caps, call->scaling, TLVK__READ, &push.scaling_base) : unused;
    push.partial = scratch_base + *partials;
    double floats = (double)rows * (double)y->pitch;
    d.flops = 12.0 * floats;
    d.bytes = 4.0 * floats * (call->dy ? 4.0 : 2.0);
    *partials += (uint32_t)groups;
    return tlvk__record_dispatch(r, &d);
}

static tlvk_status record_finish(tlvk__recorder *r, const tlvk__loss_call *call, const tlvk__loss_setup *s, uint32_t partials) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    double predictions = (double)call->y->n * (double)call->y->rows * (double)s->predictions_per_row;
    finish_push push = {.count = partials, .rows_per_sample = (float)call->y->rows, .predictions = (float)predictions};
    tlvk__dispatch d = {.shader = "loss_finish", .specs = {{"WG", tlvk__large_group(caps)}}, .binding_count = 2, .push = &push, .push_bytes = sizeof push, .groups = {1, 1, 1},
                        .flops = 4.0 * partials, .bytes = 16.0 * partials, .operation = "loss", .layer = call->layer};
    d.bindings[0] = tlvk__span_window(caps, call->scratch, TLVK__READ, &push.partial);
    d.bindings[1] = tlvk__span_window(caps, (tlvk__span){call->metrics.buffer, call->metrics.offset, TLVK__METRIC_WORDS * sizeof(float)}, TLVK__READ_WRITE,
                                      &push.metrics_base);
    return tlvk__record_dispatch(r, &d);
}

tlvk_status tlvk__record_loss(tlvk__recorder *r, const tlvk__loss_call *call) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    tlvk__loss_setup s;
    tlvk_status status = tlvk__loss_setup_of(&call->kind_and_options, call->logits, call->metric, call->y->c, call->target->c, &s);
    if (!status)
        status = check_call(call);
    const tlvk__tensor *operands[] = {call->y, call->target, call->sample_weight, call->dy};
    const int64_t most = weights_held(caps);
    uint32_t partials = 0;
    tlvk__piece p = {0, 0};
    for (bool more = true; !status;) {
        status = tlvk__next_piece(caps, operands, (int)TLVK__COUNT(operands), call->y->n, &p, &more);
        if (!status && !more)
            return record_finish(r, call, &s, partials);
        if (call->sample_weight && p.n1 - p.n0 > most)
            p.n1 = p.n0 + most;
        if (!status)
            status = record_piece(r, call, &s, &p, &partials);
    }
    return tlvk__fail_context(status, "loss of %s", call->layer ? call->layer : "the model");
}
