/* bench.c - `tlvk bench`: how fast operations and whole networks run, forward and as training steps, and where the time of a step goes. */
#include "cli.h"

#include <string.h>

static void set_text(json_t *line, const char *key, const char *text) {
    if (text && *text) {
        json_object_set_new(line, key, cli_json_text(text));
    }
}

static void set_number(json_t *line, const char *key, double value) {
    if (value > 0.0) {
        json_object_set_new(line, key, cli_json_number(value));
    }
}

static void report_json(const tlvk_bench_case *c) {
    json_t *line = json_pack("{s:o, s:o, s:o, s:o, s:o}", "case", cli_json_text(c->name), "ms_min", cli_json_number(c->ms_min), "ms_median",
                             cli_json_number(c->ms_median), "gflops", cli_json_number(c->gflops), "images_per_s", cli_json_number(c->images_per_s));
    set_text(line, "part", c->part);
    set_text(line, "kind", c->kind);
    set_text(line, "network", c->network);
    set_text(line, "layer", c->layer);
    set_text(line, "pass", c->pass);
    set_number(line, "runs", c->runs);
    set_number(line, "count", c->count);
    set_number(line, "dispatches", c->dispatches);
    set_number(line, "gflop", c->gflop);
    set_number(line, "gbyte", c->gbyte);
    set_number(line, "gbytes_per_s", c->gbytes_per_s);
    set_number(line, "gflops_share", c->gflops_share);
    set_number(line, "bandwidth_share", c->bandwidth_share);
    set_number(line, "ceiling_images_per_s", c->ceiling_images_per_s);
    set_number(line, "time_share", c->time_share);
    set_number(line, "device_bytes", (double)c->device_bytes);
    set_number(line, "pictures", c->pictures);
    set_number(line, "epochs", c->epochs);
    set_text(line, "clock", c->host_clock ? "host" : "device");
    cli_print_json(line);
}

/* A rate and its share of the peak; blanks where there is none. */
static void print_rate(double value, const char *unit, double share) {
    if (value > 0.0) {
        printf(" %8.1f %s %3.0f %%", value, unit, 100 * share);
    } else {
        printf(" %8s %*s      ", "", (int)strlen(unit), "");
    }
}

/* Once, where single dispatches are timed by the host. */
static void say_clock(const tlvk_bench_case *c) {
    static bool said;
    bool single = strcmp(c->part, "network") != 0 && strcmp(c->part, "job") != 0;
    if (c->host_clock && single && !said) {
        cli_message("this device has no timestamps: operations and layers are submitted one by one and timed by the host's clock");
        said = true;
    }
}

static void report(const tlvk_bench_case *c, void *user) {
    const cli_common *common = user;
    say_clock(c);
    if (common->json) {
        report_json(c);
        return;
    }
    if (c->time_share > 0) {
        printf("%5.1f %% %10.2f ms", 100 * c->time_share, c->ms_min);
    } else {
        printf("%10.2f ms %10.2f ms", c->ms_min, c->ms_median);
    }
    print_rate(c->gflops, "GFLOP/s", c->gflops_share);
    print_rate(c->gbytes_per_s, "GB/s", c->bandwidth_share);
    if (c->part[0] == 'n' || c->part[0] == 'j') {
        printf(" %8.2f images/s", c->images_per_s);
    }
    if (c->ceiling_images_per_s > 0) {
        printf(", %3.0f %% of %.2f", 100 * c->images_per_s / c->ceiling_images_per_s, c->ceiling_images_per_s);
    }
    printf("  %s\n", c->name);
    fflush(stdout);
}

/* "forward,step" to TLVK_BENCH_*. False with a message. */
static bool read_parts(const cli_command *command, const char *text, unsigned *parts) {
    static const struct { const char *name; unsigned bit; } names[] = {
        {"peak", TLVK_BENCH_PEAK}, {"forward", TLVK_BENCH_FORWARD}, {"head", TLVK_BENCH_HEAD},
        {"step", TLVK_BENCH_STEP}, {"job", TLVK_BENCH_JOB},         {"operations", TLVK_BENCH_OPERATIONS},
    };
    size_t count = sizeof names / sizeof *names;
    while (*text) {
        size_t length = strcspn(text, ","), i = 0;
        while (i < count && (strlen(names[i].name) != length || strncmp(names[i].name, text, length) != 0)) {
            i++;
        }
        if (i == count) {
            cli_usage(command, "--parts: no part '%.*s'; there are peak, forward, head, step, job, operations", (int)length, text);
            return false;
        }
        *parts |= names[i].bit;
        text += length + (text[length] == ',');
    }
    return true;
}

typedef struct bench_options { const char *filter, *parts, *networks, *layers; int64_t repeats, batch_size, image_size, pictures, epochs; int cache, precision; bool full; } bench_options;

static int measure(const cli_command *command, cli_common *common, const bench_options *o) {
    tlvk_bench_desc desc = {.filter = o->filter, .repeats = (int)o->repeats, .batch_size = (int)o->batch_size, .report = report, .user = common,
                            .networks = o->layers ? o->layers : o->networks, .image_size = (int)o->image_size, .layers = o->layers != NULL,
                            .pictures = (int)o->pictures, .epochs = (int)o->epochs, .cache = (tlvk_cache)o->cache, .precision = (tlvk_precision)o->precision};
    if (o->full) {
        desc.parts = TLVK_BENCH_PEAK | TLVK_BENCH_FORWARD | TLVK_BENCH_HEAD | TLVK_BENCH_STEP | TLVK_BENCH_JOB | TLVK_BENCH_OPERATIONS;
    }
    if (o->parts && !read_parts(command, o->parts, &desc.parts)) {
        return CLI_USAGE;
    }
    tlvk_context *ctx = NULL;
    int status = cli_open_context(common, &ctx);
    if (status == CLI_GO_ON) {
        if (!common->json) {
            printf(desc.layers ? " share       fastest  work and its share of the device's peak            layer and pass\n"
                               : "   fastest        median   work and its share of the device's peak            case\n");
        }
        tlvk_status st = tlvk_bench(ctx, &desc);
        status = st ? cli_fail(ctx, st, CLI_WORKING) : CLI_DONE;
    }
    cli_close_context(ctx);
    return status;
}

static int run(const cli_command *command, int argc, char **argv) {
    static const cli_choice caches[] = {{"memory", TLVK_CACHE_MEMORY}, {"disk", TLVK_CACHE_DISK}, {"off", TLVK_CACHE_OFF}, {NULL, 0}};
    static const cli_choice precisions[] = {{"fp32", TLVK_FP32}, {"mixed", TLVK_MIXED}, {NULL, 0}};
    cli_common common = {0};
    bench_options o = {0};
    cli_option common_rows[CLI_COMMON_ROWS];
    cli_common_options(&common, common_rows);
    const cli_option rows[] = {
        {"filter", 0, CLI_TEXT, &o.filter, "TEXT", "only cases with this text in their name", 0, 0, NULL},
        {"networks", 0, CLI_TEXT, &o.networks, "NAME,...", "which networks, or all (vgg16,resnet50,inceptionv3,xception,mobilenet)", 0, 0, NULL},
        {"parts", 0, CLI_TEXT, &o.parts, "PART,...", "peak, forward, head, step, job, operations (peak,forward,head,step)", 0, 0, NULL},
        {"full", 0, CLI_FLAG, &o.full, NULL, "every part: minutes on a processor", 0, 0, NULL},
        {"layers", 0, CLI_TEXT, &o.layers, "NAME", "instead: the times of every layer and pass of this network's step, slowest first", 0, 0, NULL},
        {"repeats", 0, CLI_INTEGER, &o.repeats, "N", "runs of each case (3, or fewer of what takes seconds)", 1, 64, NULL},
        {"batch-size", 0, CLI_INTEGER, &o.batch_size, "N", "pictures at a time (8)", 1, 65536, NULL},
        {"image-size", 0, CLI_INTEGER, &o.image_size, "N", "height and width of pictures (224)", 1, 16384, NULL},
        {"precision", 0, CLI_CHOICE, &o.precision, "fp32|mixed", "of networks, layers and the job (fp32)", 0, 0, precisions},
        {"pictures", 0, CLI_INTEGER, &o.pictures, "N", "of the job (100)", 1, 10000000, NULL},
        {"epochs", 0, CLI_INTEGER, &o.epochs, "N", "of the job (10)", 1, 100000, NULL},
        {"cache", 0, CLI_CHOICE, &o.cache, "WHERE", "of the job's features: memory, disk, off", 0, 0, caches},
        {NULL, 0, CLI_FLAG, NULL, NULL, NULL, 0, 0, NULL},
    };
    const cli_group groups[] = {{"Options", common_rows}, {"Cases", rows}, {NULL, NULL}};
    int first;
    int status = cli_parse(command, groups, argc, argv, &first);
    if (status != CLI_GO_ON) {
        return status;
    }
    if (first < argc) {
        return cli_usage(command, "takes no operand, got '%s'", argv[first]);
    }
    if (o.layers && o.networks) {
        return cli_usage(command, "--layers names the network itself, beside --networks");
    }
    return measure(command, &common, &o);
}

const cli_command cli_bench = {
    .name = "bench",
    .operands = "",
    .summary = "Measure operations and whole networks, forward and training step",
    .details = "Networks are without their top, with global average pooling and Dense 10. GFLOP/s and GB/s count the work by definition, each operand once;\n"
               "the percentages beside them are of the device's peaks, those of images/s of what the peaks allow.",
    .example = "tlvk bench --networks vgg16 --batch-size 8\n  tlvk bench --layers resnet50\n  tlvk bench --parts operations --filter \"Conv2D 1x1\" --json",
    .run = run,
};
