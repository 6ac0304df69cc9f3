/* dump_ops.c - what the CPU reference of every operation gives for its own small cases, for ops.py to hold against the Keras layers.
 *
 * dump_ops OUT. Standard output: a JSON object per case, one a line: "class", "case", "training", "config" (Keras's), "activation" behind the
 * operation, and "arrays", a list of [name, shape]: x0.., w:NAME.., y, after:NAME.. (state after a training forward), dy, dx0.., dw:NAME..
 * OUT holds those arrays in that order as float64. A case with an epilogue is run with that activation as the layer's own. */
#include "weights/config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct dump {
    const tlvk__op *op;
    tlvk__op_case c;
    tlvk__activation activation;
    bool has_activation;
    tlvk__variable_spec specs[TLVK__MAX_VARIABLES];
    int variables;
    tlvk__ref_tensor x[TLVK__MAX_INPUTS], dx[TLVK__MAX_INPUTS], w[TLVK__MAX_VARIABLES], dw[TLVK__MAX_VARIABLES], after[TLVK__MAX_VARIABLES];
    tlvk__ref_tensor y, dy;
    double *z;        /* y before the activation */
    json_t *arrays;
    FILE *out;
} dump;

static void stop(const char *what) {
    fprintf(stderr, "dump_ops: %s: %s\n", what, tlvk__fail_text());
    exit(1);
}

static size_t elements(const tlvk__shape *s) {
    int64_t n = 0;
    if (!tlvk__shape_elements(s, &n))
        stop("a shape with an open size");
    return (size_t)n;
}

static tlvk__ref_tensor tensor(const tlvk__shape *s) {
    tlvk__ref_tensor t = {.shape = *s, .v = tlvk__calloc(elements(s) + 1, sizeof(double))};
    if (!t.v)
        stop("no memory");
    return t;
}

static void put(dump *d, const char *prefix, const char *name, const tlvk__ref_tensor *t) {
    char label[96];
    snprintf(label, sizeof label, "%s%s", prefix, name);
    json_t *shape = json_array();
    for (int i = 0; i < t->shape.rank; i++)
        json_array_append_new(shape, json_integer(t->shape.dim[i]));
    json_array_append_new(d->arrays, json_pack("[s, o]", label, shape));
    size_t count = elements(&t->shape);
    if (fwrite(t->v, sizeof(double), count, d->out) != count)
        stop("the file of arrays cannot be written");
}

static void put_numbered(dump *d, const char *prefix, int number, const tlvk__ref_tensor *t) {
    char name[16];
    snprintf(name, sizeof name, "%d", number);
    put(d, prefix, name, t);
}

/* --- inputs: floats, as a device would have them -------------------------------------------------------------------------------------- */

static void fill(tlvk__ref_tensor *t, tlvk__rng *rng, double low, double high) {
    for (size_t i = 0; i < elements(&t->shape); i++)
        t->v[i] = (float)(low + (high - low) * tlvk__rng_uniform(rng));
}

static void fill_distinct(tlvk__ref_tensor *t, tlvk__rng *rng) {
    size_t n = elements(&t->shape);
    for (size_t i = 0; i < n; i++)
        t->v[i] = (float)((2.0 * (double)i + 1) / (double)n - 1);
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)tlvk__rng_below(rng, i);
        double kept = t->v[i - 1];
        t->v[i - 1] = t->v[j];
        t->v[j] = kept;
    }
}

static void make_input(const tlvk__op_case *c, tlvk__rng *rng, tlvk__ref_tensor *x) {
    if (c->distinct)
        fill_distinct(x, rng);
    else
        fill(x, rng, c->positive ? 0.1 : -1, 1);
    for (size_t i = 0; i < elements(&x->shape); i++) {
        double v = c->coarse ? round(x->v[i] * 4) / 4 : x->v[i];
        x->v[i] = (float)(v + (double)c->offset);
    }
}

static void make_tensors(dump *d, uint64_t seed) {
    tlvk__rng rng;
    tlvk__rng_seed(&rng, seed, 0x70617269);
    tlvk__shape y;
    if (d->op->shape(&d->c.attrs, d->c.inputs, d->c.x, &y))
        stop(d->c.name);
    for (int i = 0; i < d->c.inputs; i++) {
        d->x[i] = tensor(&d->c.x[i]);
        d->dx[i] = tensor(&d->c.x[i]);
        make_input(&d->c, &rng, &d->x[i]);
    }
    d->variables = d->op->variables ? d->op->variables(&d->c.attrs, d->c.inputs, d->c.x, d->specs) : 0;
    for (int i = 0; i < d->variables; i++) {
        const tlvk__variable_spec *spec = &d->specs[i];
        d->w[i] = tensor(&spec->shape);
        d->dw[i] = tensor(&spec->shape);
        d->after[i] = tensor(&spec->shape);
        /* A state that begins at one is a variance: it stays positive. */
        fill(&d->w[i], &rng, !spec->trainable && spec->initializer.kind == TLVK_ONES ? 0.1 : -1, 1);
    }
    d->y = tensor(&y);
    d->dy = tensor(&y);
    fill(&d->dy, &rng, -1, 1);
    d->z = tensor(&y).v;
}

/* --- the reference, with the activation behind it --------------------------------------------------------------------------------------- */

static void run(dump *d) {
    static const tlvk__step_params step = {.seed = {5, 6}, .step = {7, 0}};
    bool state = d->c.training && (d->op->flags & TLVK__OP_STATE);
    tlvk__ref_tensor dz = tensor(&d->y.shape);
    tlvk__ref_call call = {.attrs = &d->c.attrs, .training = d->c.training, .stream = 3, .step = &step, .inputs = d->c.inputs, .y = &d->y, .dy = &dz};
    for (int i = 0; i < d->c.inputs; i++)
        call.x[i] = &d->x[i];
    for (int i = 0; i < d->variables; i++) {
        call.w[i] = &d->w[i];
        call.w_after[i] = state && !d->specs[i].trainable ? &d->after[i] : NULL;
    }
    if (d->op->reference_forward(&call))
        stop(d->c.name);
    for (int i = 0; i < d->c.inputs; i++)
        call.dx[i] = &d->dx[i];
    for (int i = 0; i < d->variables; i++)
        call.dw[i] = d->specs[i].trainable ? &d->dw[i] : NULL;
    for (size_t i = 0; i < elements(&d->y.shape); i++) {
        d->z[i] = d->y.v[i];
        dz.v[i] = d->dy.v[i] * (d->has_activation ? tlvk__activation_slope(&d->activation, d->z[i]) : 1);
    }
    if (d->op->reference_backward && d->op->reference_backward(&call))
        stop(d->c.name);
    for (size_t i = 0; d->has_activation && i < elements(&d->y.shape); i++)
        d->y.v[i] = tlvk__activation_value(&d->activation, d->z[i]);
    free(dz.v);
}

/* --- the description ---------------------------------------------------------------------------------------------------------------------- */

static json_t *activation_json(const tlvk__activation *a) {
    return json_pack("{s:s, s:f, s:o, s:f}", "name", tlvk__activation_name(a->kind), "alpha", (double)a->alpha, "max_value",
                     isfinite(a->max_value) ? json_real((double)a->max_value) : json_null(), "threshold", (double)a->threshold);
}

static const tlvk__field *activation_field(const tlvk__op *op) {
    for (const tlvk__field *f = op->fields; f && f->key; f++)
        if (f->type == TLVK__FIELD_ACTIVATION)
            return f;
    return NULL;
}

static json_t *exact_floats(const tlvk__floats *f) {
    json_t *list = json_array();
    for (int i = 0; i < f->count; i++)
        json_array_append_new(list, json_real((double)f->v[i]));
    return list;
}

/* The layer's config as files have it, but with floats in full, since the reference computes with exactly these, and without the activation. */
static json_t *config_json(dump *d) {
    tlvk__config_place at = {"dump_ops", d->c.name, d->op->class_name, 3};
    tlvk__op_case plain = d->c;
    json_t *config = json_object();
    const tlvk__field *own = activation_field(d->op);
    tlvk__activation linear = tlvk__activation_of(TLVK_LINEAR);
    if (own)
        memcpy(plain.attrs.bytes + own->offset, &linear, sizeof linear);
    if (tlvk__attrs_to_json(&at, d->op, &plain.attrs, config))
        stop(d->c.name);
    for (const tlvk__field *f = d->op->fields; f && f->key; f++)
        if (f->type == TLVK__FIELD_FLOAT && json_object_get(config, f->key)) {
            float v;
            memcpy(&v, plain.attrs.bytes + f->offset, sizeof v);
            json_object_set_new(config, f->key, isfinite(v) ? json_real((double)v) : json_null());
        } else if (f->type == TLVK__FIELD_FLOATS && !json_is_null(json_object_get(config, f->key))) {
            tlvk__floats v;
            memcpy(&v, plain.attrs.bytes + f->offset, sizeof v);
            json_object_set_new(config, f->key, v.list ? exact_floats(&v) : json_real((double)v.v[0]));
        }
    return config;
}

/* Behind a convolution or Dense the case's epilogue stands as the layer's activation; the layer Activation is one itself. */
static json_t *choose_activation(dump *d) {
    const tlvk__field *f = activation_field(d->op);
    if (!f)
        return json_null();
    if (!(d->op->flags & TLVK__OP_EPILOGUE) && !d->op->parts)
        memcpy(&d->activation, d->c.attrs.bytes + f->offset, sizeof d->activation);
    else {
        d->activation = d->c.epilogue.kind != TLVK_LINEAR ? d->c.epilogue : d->op->activation(&d->c.attrs);
        d->has_activation = d->activation.kind != TLVK_LINEAR;
    }
    return activation_json(&d->activation);
}

static void dump_case(const tlvk__op *op, const tlvk__op_case *c, uint64_t seed, FILE *out) {
    dump d = {.op = op, .c = *c, .arrays = json_array(), .out = out};
    json_t *activation = choose_activation(&d);
    make_tensors(&d, seed);
    run(&d);
    for (int i = 0; i < d.c.inputs; i++)
        put_numbered(&d, "x", i, &d.x[i]);
    for (int i = 0; i < d.variables; i++)
        put(&d, "w:", d.specs[i].name, &d.w[i]);
    put(&d, "y", "", &d.y);
    for (int i = 0; i < d.variables; i++)
        if (d.c.training && (op->flags & TLVK__OP_STATE) && !d.specs[i].trainable)
            put(&d, "after:", d.specs[i].name, &d.after[i]);
    put(&d, "dy", "", &d.dy);
    for (int i = 0; op->reference_backward && i < d.c.inputs; i++)
        put_numbered(&d, "dx", i, &d.dx[i]);
    for (int i = 0; op->reference_backward && i < d.variables; i++)
        if (d.specs[i].trainable)
            put(&d, "dw:", d.specs[i].name, &d.dw[i]);
    json_t *line = json_pack("{s:s, s:s, s:b, s:o, s:o, s:o}", "class", op->class_name, "case", c->name, "training", c->training, "config", config_json(&d),
                             "activation", activation, "arrays", d.arrays);
    json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(17));
    printf("\n");
    json_decref(line);
}

int main(int argc, char **argv) {
    FILE *out = argc == 2 ? fopen(argv[1], "wb") : NULL;
    if (!out) {
        fprintf(stderr, "usage: dump_ops OUT\n");
        return 2;
    }
    const tlvk__op *op;
    for (int i = 0; (op = tlvk__op_at(i)) != NULL; i++) {
        tlvk__op_case c;
        for (int k = 0; memset(&c, 0, sizeof c), op->test_case && op->test_case(k, &c); k++)
            if (!c.real_size && !c.planner_only)
                dump_case(op, &c, (uint64_t)(1000 * i + k), out);
    }
    return fclose(out) != 0;
}
