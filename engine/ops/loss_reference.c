/* loss_reference.c - the losses and metrics of loss.c in double precision, row by row, with the error allowed to a float32 device.
 *
 * Error model, u = 2^-24: exp(x) (3 + 2|x|) ulp and log 3 ulp or 2^-21 near 1 (Vulkan 1.1, "Precision and operation of SPIR-V
 * instructions"), division 2.5 ulp, one ulp being at most 2u of the value; a sum of K terms K * u * sum of |terms|. */
#include "ops/loss.h"

#include <math.h>
#include <stdlib.h>

#define U 0x1p-24
#define LOG_E(v) (8.0 * U + 6.0 * U * fabs(log(v)))

/* keras.config.epsilon() and its distance from 1 as float32 holds them. */
static const double lower = (double)1e-7f, upper = (double)0.99999988f;

static double clipped(double v) { return v < lower ? lower : v > upper ? upper : v; }
static double passes(double v) { return v >= lower && v <= upper ? 1.0 : 0.0; }
static double sigmoid(double z) { return z >= 0 ? 1.0 / (1.0 + exp(-z)) : exp(z) / (1.0 + exp(z)); }

typedef struct row {
    const tlvk__loss_setup *s;
    bool logits;
    int64_t c;
    const double *y, *t;      /* t: one class number for sparse */
    double *g, *g_e;          /* gradient of this row's loss (before any mean over c) and its error; g NULL: not wanted */
    double loss, loss_e;      /* before any mean over c */
    double max, sum, sum_e;   /* of softmax: sum of exp(y - max) and its relative error */
} row;

static double smoothed(const row *r, int64_t j) { return r->t[j] * (double)r->s->smooth_scale + (double)r->s->smooth_shift; }

static void put(row *r, int64_t j, double g, double e) {
    if (r->g) {
        r->g[j] = g;
        r->g_e[j] = e + 4.0 * U * fabs(g);
    }
}

/* Relative error of exp(y - max): the rounding of its argument and the function's own. */
static double exp_e(double x) { return U * fabs(x) + 2.0 * U * (3.0 + 2.0 * fabs(x)); }

static void find_softmax(row *r) {
    r->max = -INFINITY;
    r->sum = r->sum_e = 0.0;
    for (int64_t j = 0; j < r->c; j++)
        r->max = fmax(r->max, r->y[j]);
    for (int64_t j = 0; j < r->c; j++) {
        double x = r->y[j] - r->max, e = exp(x);
        r->sum += e;
        r->sum_e += e * exp_e(x);
    }
    r->sum_e = r->sum_e / r->sum + (double)r->c * U;
}

static double softmax_value(const row *r, int64_t j, double *error) {
    double x = r->y[j] - r->max, p = exp(x) / r->sum;
    *error = p * (exp_e(x) + r->sum_e + 5.0 * U) + 0x1p-126; /* results below the normal range may become 0 */
    return p;
}

static void categorical_logits(row *r) {
    for (int64_t j = 0; j < r->c; j++) {
        double t = smoothed(r, j), x = r->y[j] - r->max, e, p = softmax_value(r, j, &e);
        r->loss += t * (log(r->sum) - x);
        r->loss_e += fabs(t) * (LOG_E(r->sum) + r->sum_e + 3.0 * U * (fabs(x) + log(r->sum))) + 2.0 * U * fabs(t) * fabs(log(r->sum) - x);
        put(r, j, p - t, e + 2.0 * U * fabs(t));
    }
}

static void categorical_probabilities(row *r) {
    double total = 0.0, size = 0.0, dot = 0.0, dot_e = 0.0;
    for (int64_t j = 0; j < r->c; j++) {
        total += r->y[j];
        size += fabs(r->y[j]);
    }
    double p_e = (double)r->c * U * size / fabs(total) + 5.0 * U; /* relative error of y / total */
    for (int64_t j = 0; j < r->c; j++) {
        double t = smoothed(r, j), p = r->y[j] / total, q = clipped(p);
        r->loss -= t * log(q);
        r->loss_e += fabs(t) * (LOG_E(q) + p_e + 3.0 * U * fabs(log(q)));
        dot -= passes(p) * t;
        dot_e += passes(p) * fabs(t);
    }
    dot_e *= ((double)r->c + 2.0) * U;
    for (int64_t j = 0; j < r->c; j++) {
        double t = smoothed(r, j), p = r->y[j] / total, g = -t * passes(p) / clipped(p);
        put(r, j, (g - dot) / total, (fabs(g) * (2.0 * p_e + 8.0 * U) + dot_e + fabs(dot) * (p_e + 4.0 * U)) / fabs(total));
    }
}

static void sparse(row *r) {
    double number = r->t[0];
    if (!(number >= 0.0 && number < (double)r->c)) {
        r->loss = NAN;
        for (int64_t j = 0; j < r->c; j++)
            put(r, j, 0.0, 0.0);
        return;
    }
    int64_t label = (int64_t)number;
    if (r->logits) {
        double x = r->y[label] - r->max;
        r->loss = log(r->sum) - x;
        r->loss_e = LOG_E(r->sum) + r->sum_e + 3.0 * U * (fabs(x) + log(r->sum));
        for (int64_t j = 0; j < r->c; j++) {
            double e, p = softmax_value(r, j, &e);
            put(r, j, p - (j == label), e + 2.0 * U * (j == label));
        }
        return;
    }
    double total = 0.0;
    for (int64_t j = 0; j < r->c; j++)
        total += clipped(r->y[j]);
    double total_e = (double)r->c * U, q_label = clipped(r->y[label]);
    r->loss = log(total) - log(q_label);
    r->loss_e = LOG_E(total) + LOG_E(q_label) + total_e;
    for (int64_t j = 0; j < r->c; j++) {
        double pass = passes(r->y[j]), own = j == label ? 1.0 / clipped(r->y[j]) : 0.0;
        put(r, j, pass * (1.0 / total - own), pass * ((total_e + 6.0 * U) / total + 6.0 * U * own));
    }
}

static void binary(row *r) {
    for (int64_t j = 0; j < r->c; j++) {
        double v = r->y[j], t = smoothed(r, j);
        if (r->logits) {
            double tail = log1p(exp(-fabs(v))), s = sigmoid(v);
            r->loss += fmax(v, 0.0) - v * t + tail;
            r->loss_e += 4.0 * U * (fabs(v) + fabs(v * t)) + tail * (exp_e(v) + 16.0 * U) + 0x1p-126;
            put(r, j, s - t, s * (2.0 * exp_e(v) + 8.0 * U) + 2.0 * U * fabs(t) + 0x1p-126);
        } else {
            double q = clipped(v);
            r->loss -= t * log(q) + (1.0 - t) * log(1.0 - q);
            r->loss_e += fabs(t) * (LOG_E(q) + 4.0 * U * fabs(log(q))) + fabs(1.0 - t) * (LOG_E(1.0 - q) + U / (1.0 - q) + 4.0 * U * fabs(log(1.0 - q)));
            double up = (1.0 - t) / (1.0 - q), down = t / q;
            put(r, j, passes(v) * (up - down), passes(v) * ((8.0 * U + U / (1.0 - q)) * fabs(up) + 8.0 * U * fabs(down) + 2.0 * U / (1.0 - q)));
        }
    }
}

static void squared(row *r) {
    for (int64_t j = 0; j < r->c; j++) {
        double d = r->y[j] - r->t[j];
        r->loss += d * d;
        r->loss_e += 6.0 * U * d * d;
        put(r, j, 2.0 * d, 2.0 * U * fabs(d));
    }
}

static void row_loss(row *r) {
    if (r->s->softmax)
        find_softmax(r);
    if (r->s->kind == TLVK__LOSS_CATEGORICAL && r->logits)
        categorical_logits(r);
    else if (r->s->kind == TLVK__LOSS_CATEGORICAL)
        categorical_probabilities(r);
    else if (r->s->kind == TLVK__LOSS_SPARSE)
        sparse(r);
    else if (r->s->kind == TLVK__LOSS_BINARY)
        binary(r);
    else
        squared(r);
    double values = (double)r->s->values_per_row;
    r->loss_e = (r->loss_e + (double)r->c * U * fabs(r->loss)) / values + 5.0 * U * fabs(r->loss) / values;
    r->loss /= values;
}

static int64_t argmax(const double *v, int64_t c) {
    int64_t best = 0;
    for (int64_t j = 1; j < c; j++)
        if (v[j] > v[best])
            best = j;
    return best;
}

static double output_value(const row *r, int64_t j) {
    double unused;
    if (r->s->output == TLVK__OUTPUT_SIGMOID)
        return sigmoid(r->y[j]);
    return r->s->output == TLVK__OUTPUT_SOFTMAX ? softmax_value(r, j, &unused) : r->y[j];
}

static void row_metric(const row *r, double *metrics) {
    double correct = 0.0;
    if (r->s->metric == TLVK__COUNT_CATEGORICAL)
        correct = argmax(r->y, r->c) == argmax(r->t, r->c);
    else if (r->s->metric == TLVK__COUNT_SPARSE)
        correct = (double)argmax(r->y, r->c) == r->t[0];
    for (int64_t j = 0; j < r->c; j++)
        if (r->s->metric == TLVK__COUNT_BINARY)
            correct += r->t[j] == (output_value(r, j) > 0.5);
        else if (r->s->metric == TLVK__COUNT_SQUARED)
            metrics[TLVK__METRIC_SQUARED] += (output_value(r, j) - r->t[j]) * (output_value(r, j) - r->t[j]);
    metrics[TLVK__METRIC_CORRECT] += correct;
    metrics[TLVK__METRIC_COUNT] += (double)r->s->predictions_per_row;
}

tlvk_status tlvk__loss_reference_run(tlvk__loss_reference *ref) {
    tlvk__loss_setup s;
    int64_t target_c = ref->loss.kind == TLVK_SPARSE_CATEGORICAL_CROSSENTROPY ? 1 : ref->c;
    tlvk_status status = tlvk__loss_setup_of(&ref->loss, ref->logits, ref->metric, ref->c, target_c, &s);
    if (status)
        return status;
    double *g = tlvk__calloc((size_t)ref->c * 2, sizeof *g);
    if (!g)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for the reference of a loss over %lld values", (long long)ref->c);
    for (int i = 0; i < TLVK__METRIC_WORDS; i++)
        ref->metrics[i] = 0.0;
    ref->loss_e = 0.0;
    double scale = 1.0 / ((double)ref->n * (double)ref->rows * (double)s.values_per_row), size = 0.0;
    for (int64_t k = 0; k < ref->n * ref->rows; k++) {
        double w = ref->weight ? ref->weight[k / ref->rows] : 1.0;
        row r = {.s = &s, .logits = ref->logits, .c = ref->c, .y = ref->y + k * ref->c, .t = ref->target + k * target_c,
                 .g = ref->dy ? g : NULL, .g_e = g + ref->c};
        row_loss(&r);
        row_metric(&r, ref->metrics);
        ref->metrics[TLVK__METRIC_LOSS] += w * r.loss / (double)ref->rows;
        ref->metrics[TLVK__METRIC_WEIGHT] += k % ref->rows == 0 ? w : 0.0;
        ref->loss_e += fabs(w) * r.loss_e / (double)ref->rows;
        size += fabs(w * r.loss) / (double)ref->rows;
        for (int64_t j = 0; j < ref->c && ref->dy; j++) {
            ref->dy[k * ref->c + j] = w * scale * g[j];
            if (ref->dy_e)
                ref->dy_e[k * ref->c + j] = fabs(w) * scale * r.g_e[j];
        }
    }
    /* A chain of additions on the device is as long as one invocation's rows, the trees, and the partial sums of one invocation of stage two. */
    double chain = 16.0 + 6.0 + 8.0 + 2.0 + (double)(ref->n * ref->rows) / 4096.0;
    ref->loss_e += chain * U * size;
    free(g);
    return TLVK_OK;
}
