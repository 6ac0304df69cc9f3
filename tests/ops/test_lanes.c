/* test_lanes.c - the shuffle core on subgroups of 4 to 128 lanes, whatever this machine has: the layer of tests/layer tells of the width, and this program's
 * table of shaders has the core with lanes that are emulated in shared memory (tests/shaders/emulated_lanes.glsl). So the library chooses its tiles, packs,
 * records and cuts as it would on such a device, and values are held against the double reference within the bounds of every device.
 * TLVK_TEST_FULL=1 takes each candidate of tuning too; TLVK_TEST_LANES=32 narrows the run to one width. */
#include "ops/attrs.h"
#include "ops/choice.h"
#include "support/device.h"
#include "support/simulator.h"

#include <stdio.h>

enum { PACKED = 1, ROWS = 2, COLUMNS = 4, WEIGHTS = 8, WINOGRAD = 16, WINOGRAD_WEIGHTS = 32, PRODUCTS = PACKED | ROWS | COLUMNS | WEIGHTS };

/* How many candidates are forced, and with TLVK_TEST_FULL=1; where no tile of a width is the standard one, the candidates alone have it. */
typedef struct width { int lanes; const char *settings; int usual, all, forms; } width;
static const width widths[] = {
    {4, "", 2, 4, PRODUCTS | WINOGRAD | WINOGRAD_WEIGHTS},
    {8, "", 2, 8, PRODUCTS | WINOGRAD | WINOGRAD_WEIGHTS},
    {8, "discrete=1", 2, 4, PRODUCTS | WINOGRAD | WINOGRAD_WEIGHTS},
    {16, "no_texel_buffers=1", 2, 6, PRODUCTS | WINOGRAD | WINOGRAD_WEIGHTS},
    {16, "discrete=1", 2, 4, PRODUCTS | WINOGRAD | WINOGRAD_WEIGHTS},
    {32, "discrete=1,no_texel_buffers=1", 2, 4, PRODUCTS | WINOGRAD | WINOGRAD_WEIGHTS},
    {64, "discrete=1", 3, 4, PACKED | ROWS | COLUMNS | WEIGHTS},
    {128, "discrete=1,no_texel_buffers=1", 3, 4, PACKED | ROWS | COLUMNS | WEIGHTS},
};

/* Channels as many as the columns of a tile with one vec4 in each lane, or one less or more. */
enum { WHOLE = -1, BELOW = -2, ABOVE = -3 };
static const struct { int n, h, w, c, filters, kernel, stride; bool residual; } convolutions[] = {
    {1, 1, 1, 1, 1, 1, 1, false},       {1, 1, 7, 13, BELOW, 1, 1, true},  {1, 31, 1, 5, ABOVE, 1, 1, false},  {3, 1, 11, ABOVE, 13, 1, 1, true},
    {3, 43, 1, BELOW, 5, 1, 1, false},  {1, 13, 10, 3, 13, 3, 1, true},    {2, 9, 8, 13, ABOVE, 3, 1, false},  {2, 7, 5, 5, WHOLE, 3, 2, false},
};
static const struct { int n, in, units; } denses[] = {{1, 1, 1}, {7, 13, ABOVE}, {3, ABOVE, 13}, {33, 31, BELOW}};

static int channels(int told, int lanes) { return told > 0 ? told : 4 * lanes + (told == BELOW ? -1 : told == ABOVE ? 1 : 0); }

typedef struct run { tlvk__device *d; const width *w; int candidate, cases, failed; double worst; } run;

static void check(run *r, const tlvk__op *op, tlvk__op_case *c) {
    tlvk__check result;
    snprintf(c->name, sizeof c->name, "case %d", r->cases);
    tlvk_status s = tlvk__check_case(r->d, op, c, 7 + (uint64_t)r->cases, 0, &result);
    r->cases++;
    r->worst = fmax(r->worst, result.worst);
    if (!s && result.ok)
        return;
    r->failed++;
    print_message("%d lanes, %s, candidate %d, %s, %s: %s\n", r->w->lanes, r->w->settings, r->candidate, op->class_name, c->name, s ? tlvk__fail_text() : result.message);
}

static void check_convolutions(run *r) {
    for (size_t i = 0; i < TLVK__COUNT(convolutions); i++) {
        tlvk__conv2d_attrs a = {0};
        tlvk__op_conv2d.defaults(&a);
        a.filters = channels(convolutions[i].filters, r->w->lanes);
        a.kernel_size[0] = a.kernel_size[1] = convolutions[i].kernel;
        a.strides[0] = a.strides[1] = convolutions[i].stride;
        a.padding = TLVK_SAME;
        tlvk__op_case c = {.inputs = 1, .residual = convolutions[i].residual, .epilogue = tlvk__activation_of(TLVK_RELU), .scale_shift = i % 2,
                           .x = {{4, {convolutions[i].n, convolutions[i].h, convolutions[i].w, channels(convolutions[i].c, r->w->lanes)}}}};
        memcpy(c.attrs.bytes, &a, sizeof a);
        check(r, &tlvk__op_conv2d, &c);
    }
}

static void check_others(run *r) {
    for (size_t i = 0; i < TLVK__COUNT(denses); i++) {
        tlvk__dense_attrs a = {0};
        tlvk__op_dense.defaults(&a);
        a.units = channels(denses[i].units, r->w->lanes);
        tlvk__op_case c = {.inputs = 1, .epilogue = tlvk__activation_of(TLVK_LINEAR), .x = {{2, {denses[i].n, channels(denses[i].in, r->w->lanes)}}}};
        memcpy(c.attrs.bytes, &a, sizeof a);
        check(r, &tlvk__op_dense, &c);
    }
    tlvk__conv2d_transpose_attrs a = {0};
    tlvk__op_conv2d_transpose.defaults(&a);
    a.filters = channels(ABOVE, r->w->lanes);
    a.kernel_size[0] = a.kernel_size[1] = 3;
    a.strides[0] = a.strides[1] = 2;
    a.padding = TLVK_SAME;
    tlvk__op_case c = {.inputs = 1, .epilogue = tlvk__activation_of(TLVK_LINEAR), .x = {{4, {1, 5, 3, 13}}}};
    memcpy(c.attrs.bytes, &a, sizeof a);
    check(r, &tlvk__op_conv2d_transpose, &c);
}

typedef struct found { int lanes, forms, kernels; bool other; } found;

static void find(const tlvk__executable *e, void *user) {
    static const struct { const char *part; int form; } forms[] = {{"winograd_gemm_weights", WINOGRAD_WEIGHTS}, {"winograd_gemm", WINOGRAD}, {"conv2d_weights", WEIGHTS},
                                                                   {"_packed", PACKED}, {"_rows", ROWS}, {"_columns", COLUMNS}};
    found *f = user;
    if (!strstr(e->shader, "_sgb"))
        return;
    for (const tlvk__spec *s = e->specs; s->name; s++)
        f->other |= strcmp(s->name, "SG") == 0 && (int)s->value != f->lanes;
    size_t i = 0;
    while (i < TLVK__COUNT(forms) && !strstr(e->shader, forms[i].part))
        i++;
    f->forms |= i < TLVK__COUNT(forms) ? forms[i].form : 0;
    f->kernels++;
}

static void check_width(const width *w) {
    char settings[128];
    run r = {.w = w};
    found f = {.lanes = w->lanes};
    snprintf(settings, sizeof settings, "subgroup_size=%d,subgroup_min=%d,subgroup_max=%d%s%s", w->lanes, w->lanes, w->lanes, *w->settings ? "," : "", w->settings);
    sim_begin(settings);
    assert_ok(tlvk__device_create(NULL, &r.d));
    tlvk__caps *caps = (tlvk__caps *)tlvk__device_caps(r.d);
    assert_true(caps->subgroup_shuffle && (int)caps->shuffle_size == w->lanes);
    for (int k = 1; k <= (tlvk__env("TLVK_TEST_FULL") ? w->all : w->usual); k++) {
        caps->forced_choice = r.candidate = k;
        check_convolutions(&r);
        check_others(&r);
    }
    assert_ok(tlvk__device_executables(r.d, find, &f));
    tlvk__device_destroy(r.d);
    print_message("%d lanes%s%s: %d kernels, %d cases, %d failed, worst error %.2f of its bound\n", w->lanes, *w->settings ? ", " : "", w->settings, f.kernels, r.cases,
                  r.failed, r.worst);
    assert_int_equal(r.failed, 0);
    assert_false(f.other);
    if ((f.forms & w->forms) != w->forms)
        fail_msg("%d lanes, %s: of the forms %d of kernels only %d were run", w->lanes, w->settings, w->forms, f.forms);
    sim_report report;
    sim_read(&report);
    if (report.breaches || report.alive)
        fail_msg("%d lanes: %s", w->lanes, report.text);
}

static void test_every_width(void **state) {
    (void)state;
    const char *only = tlvk__env("TLVK_TEST_LANES");
    tlvk__device *d;
    sim_begin("");
    if (tlvk__device_create(NULL, &d)) {
        print_message("no device: %s\n", tlvk__fail_text());
        skip();
    }
    tlvk__device_destroy(d);
    for (size_t i = 0; i < TLVK__COUNT(widths); i++)
        if (!only || atoi(only) == widths[i].lanes)
            check_width(&widths[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_width)};
    return cmocka_run_group_tests(tests, sim_setup, NULL);
}
