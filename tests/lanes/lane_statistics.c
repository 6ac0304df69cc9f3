/* lane_statistics.c - what a driver's compiler makes of every pipeline that the networks and operations need, on a device that need not run anything.
 *
 *   lane_statistics [--batch N] [--mixed] [--networks-only] [NETWORK...]
 *
 * Records each network forward, its training step and the step of its head on a frozen base at 224x224, and each operation's small cases, on a device made
 * with `inspect`: pipelines are compiled, nothing is submitted. Prints one line of JSON for each executable of each pipeline:
 *   {"shader", "specs": {NAME: VALUE}, "required", "executable", "subgroup", "statistics": {NAME: VALUE}}
 * one for each thing that could not be recorded, {"failed": TEXT, "what": ...}, and a last one, {"device", "driver", "subgroup", "executables", "failed"}.
 * On stderr what is at work, so that a driver's crash has a place. Exit status 1: something failed; 3: no device. */
#include "train/training.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct options { int64_t batch; bool mixed, networks_only; } options;

static const char *const usual_networks[] = { "vgg16", "resnet50", "inceptionv3", "xception", "mobilenet", NULL };

/* As a JSON string. Names of shaders and drivers, and texts of errors, have nothing beyond printable ASCII that matters here. */
static void print_text(const char *text) {
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') putchar('\\');
        putchar((unsigned char)*text < ' ' ? ' ' : *text);
    }
    putchar('"');
}

static int failures;

static void report_failure(const char *what, const char *part) {
    failures++;
    printf("{\"failed\": ");
    print_text(tlvk__fail_text());
    printf(", \"what\": \"%s %s\"}\n", what, part);
    fprintf(stderr, "lane_statistics: %s %s: %s\n", what, part, tlvk__fail_text());
}

static void print_executable(const tlvk__executable *e, void *user) {
    int *count = user;
    (*count)++;
    printf("{\"shader\": \"%s\", \"specs\": {", e->shader);
    for (int i = 0; i < TLVK__MAX_SPECS && e->specs[i].name; i++) printf("%s\"%s\": %u", i ? ", " : "", e->specs[i].name, e->specs[i].value);
    printf("}, \"required\": %u, \"executable\": ", e->required_subgroup_size);
    print_text(e->name ? e->name : "");
    printf(", \"subgroup\": %u, \"statistics\": {", e->subgroup_size);
    for (int i = 0; i < e->statistic_count; i++) {
        printf("%s", i ? ", " : "");
        print_text(e->statistics[i].name);
        printf(": %.17g", e->statistics[i].value);
    }
    printf("}}\n");
}

/* --- networks ------------------------------------------------------------------------------------------------------------------------- */

static tlvk_status make_model(tlvk_context *ctx, const char *net, bool frozen, tlvk_model **model) {
    tlvk_model *base = NULL;
    *model = NULL;
    tlvk_status st = tlvk_net(ctx, net, &(tlvk_net_desc){ .no_top = true, .input_shape = { 224, 224, 3 }, .pooling = TLVK_POOLING_AVG }, &base);
    if (st) return st;
    tlvk_tensor y = tlvk_dense(tlvk_model_output(base, 0), &(tlvk_dense_desc){ .units = 10, .activation = TLVK_SOFTMAX });
    st = tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { tlvk_model_input(base, 0) }, .outputs = { y } }, model);
    tlvk_model_destroy(base);
    return !st && frozen ? tlvk_model_set_trainable(*model, "base", false) : st;
}

/* Plans and records; what was compiled stays with the device. */
static tlvk_status record(tlvk_model *model, const options *o, bool train) {
    tlvk__session_desc d = { .training = train, .mixed = o->mixed, .inputs = { { .rank = 4, .dim = { o->batch, 224, 224, 3 } } },
                             .objectives = { { .loss = { .kind = TLVK_SPARSE_CATEGORICAL_CROSSENTROPY }, .weight = 1 } } };
    tlvk__session *session = NULL;
    tlvk__runner *runner;
    tlvk_status st = train ? tlvk__optimizer_resolve(&(tlvk_optimizer){ .kind = TLVK_ADAM }, &d.optimizer) : TLVK_OK;
    if (!st) st = tlvk__session_create(model, &d, &session);
    if (!st) st = tlvk__session_runner(session, TLVK__WHOLE, train ? TLVK__PLAN_TRAIN : TLVK__PLAN_PREDICT, d.inputs, &runner);
    if (!st) st = tlvk__runner_prepare(runner);
    tlvk__session_destroy(session);
    return st;
}

static void record_network(tlvk_context *ctx, const char *net, const options *o) {
    static const struct { const char *name; bool train, frozen; } parts[] = { { "forward", false, false }, { "head step", true, true }, { "step", true, false } };
    for (size_t i = 0; i < TLVK__COUNT(parts); i++) {
        tlvk_model *model = NULL;
        fprintf(stderr, "%s %s\n", net, parts[i].name);
        tlvk_status st = make_model(ctx, net, parts[i].frozen, &model);
        if (!st) st = record(model, o, parts[i].train);
        if (st) report_failure(net, parts[i].name);
        tlvk_model_destroy(model);
    }
}

/* --- operations ----------------------------------------------------------------------------------------------------------------------- */

/* The values that a device without hardware gives are not looked at. */
static void record_operations(tlvk__device *device, bool mixed) {
    const tlvk__op *op;
    for (int i = 0; (op = tlvk__op_at(i)) != NULL; i++) {
        tlvk__op_case c;
        for (int k = 0; op->test_case && (memset(&c, 0, sizeof c), op->test_case(k, &c)); k++) {
            tlvk__check check;
            if (c.real_size || (mixed && !(op->flags & TLVK__OP_PRODUCT))) continue;
            fprintf(stderr, "%s: %s\n", op->class_name, c.name);
            c.mixed = mixed;
            if (tlvk__check_case(device, op, &c, 1, 0, &check)) report_failure(op->class_name, c.name);
        }
    }
}

/* --- the program ---------------------------------------------------------------------------------------------------------------------- */

static void destroy_device(void *device) { tlvk__device_destroy(device); }

static void on_log(tlvk_log_level level, const char *text, void *user) {
    (void)user;
    (void)level;
    fprintf(stderr, "%s\n", text);
}

static int read_options(int argc, char **argv, options *o) {
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--mixed") == 0) o->mixed = true;
        else if (strcmp(argv[i], "--networks-only") == 0) o->networks_only = true;
        else if (strcmp(argv[i], "--batch") == 0 && i + 1 < argc && atoll(argv[i + 1]) > 0) o->batch = atoll(argv[++i]);
        else return -1;
    }
    return i;
}

int main(int argc, char **argv) {
    options o = { .batch = 8 };
    int first = read_options(argc, argv, &o), executables = 0;
    if (first < 0) {
        fprintf(stderr, "usage: lane_statistics [--batch N] [--mixed] [--networks-only] [NETWORK...]\n");
        return 2;
    }
    const char *forced = tlvk__env("TLVK_FORCE_CHOICE");
    const tlvk__device_desc desc = { .inspect = true, .forced_choice = forced ? atoi(forced) : 0, .log = on_log };
    tlvk__device *device;
    tlvk_context *ctx;
    if (tlvk__device_create(&desc, &device)) {
        fprintf(stderr, "lane_statistics: %s\n", tlvk__fail_text());
        return 3;
    }
    const tlvk__caps *caps = tlvk__device_caps(device);
    if (tlvk_context_create(&(tlvk_context_desc){ .cache_folder = "" }, &ctx)) {
        fprintf(stderr, "lane_statistics: %s\n", tlvk__fail_text());
        tlvk__device_destroy(device);
        return 1;
    }
    tlvk__context_put(ctx, TLVK__SLOT_DEVICE, device, destroy_device);
    const char *const *networks = first < argc ? (const char *const *)argv + first : usual_networks;
    for (int i = 0; networks[i]; i++) record_network(ctx, networks[i], &o);
    if (!o.networks_only) record_operations(device, o.mixed);
    if (tlvk__device_executables(device, print_executable, &executables)) report_failure("reading", "statistics");
    printf("{\"device\": ");
    print_text(caps->name);
    printf(", \"driver\": ");
    print_text(caps->driver);
    printf(", \"subgroup\": %u, \"executables\": %d, \"failed\": %d}\n", caps->subgroup_size, executables, failures);
    tlvk_context_destroy(ctx);
    return failures > 0;
}
