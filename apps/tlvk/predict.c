/* predict.c - `tlvk predict`: the classes of pictures and of folders of pictures. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct predict_job {
    tlvk_context *ctx;
    tlvk_model *model;
    const char *spec;
    tlvk_image_folder_desc desc;
    cli_labels labels;
    int64_t classes; /* scores per picture */
    int64_t top;     /* 0: all, in the model's order */
    bool json;
    int64_t done;    /* pictures with a result */
} predict_job;

typedef struct scored { int64_t index; double score; } scored;

static int by_score(const void *a, const void *b) {
    const scored *x = a, *y = b;
    return x->score < y->score ? 1 : x->score > y->score ? -1 : x->index < y->index ? -1 : x->index > y->index;
}

static const char *label_of(const predict_job *job, int64_t index) { return index < job->labels.count ? job->labels.names[index] : NULL; }

static void print_all(const predict_job *job, const char *path, const float *row) {
    if (!job->json) {
        printf("%s:", path);
        for (int64_t i = 0; i < job->classes; i++) {
            printf(" %.9g", (double)row[i]);
        }
        putchar('\n');
        return;
    }
    json_t *scores = json_array();
    for (int64_t i = 0; i < job->classes; i++) {
        json_array_append_new(scores, cli_json_number((double)row[i]));
    }
    cli_print_json(json_pack("{s:o, s:o}", "path", cli_json_text(path), "scores", scores));
}

static void print_top(const predict_job *job, const char *path, const scored *ranks, int64_t count) {
    json_t *top = job->json ? json_array() : NULL;
    if (!job->json) {
        printf("%s:", path);
    }
    for (int64_t i = 0; i < count; i++) {
        const char *label = label_of(job, ranks[i].index);
        if (job->json) {
            json_array_append_new(top, json_pack("{s:I, s:o, s:o}", "index", (json_int_t)ranks[i].index, "label", cli_json_text(label), "score",
                                                 cli_json_number(ranks[i].score)));
        } else if (label) {
            printf("%s %s %.4f", i ? "," : "", label, ranks[i].score);
        } else {
            printf("%s class %lld %.4f", i ? "," : "", (long long)ranks[i].index, ranks[i].score);
        }
    }
    if (job->json) {
        cli_print_json(json_pack("{s:o, s:o}", "path", cli_json_text(path), "top", top));
    } else {
        putchar('\n');
    }
}

/* `ranks` has room for every class, and for two where the model has one sigmoid unit: its score is that of class 1. */
static void print_picture(predict_job *job, const char *path, const float *row, scored *ranks) {
    job->done++;
    if (!job->top) {
        print_all(job, path, row);
        return;
    }
    int64_t count = job->classes;
    for (int64_t i = 0; i < count; i++) {
        ranks[i] = (scored){i, (double)row[i]};
    }
    if (count == 1) {
        ranks[0] = (scored){0, 1.0 - (double)row[0]};
        ranks[1] = (scored){1, (double)row[0]};
        count = 2;
    }
    qsort(ranks, (size_t)count, sizeof *ranks, by_score);
    print_top(job, path, ranks, job->top < count ? job->top : count);
}

static int predict_dataset(predict_job *job, tlvk_dataset *data) {
    int64_t count = tlvk_dataset_size(data);
    if (count < 0 || (uint64_t)count > SIZE_MAX / sizeof(float) / (uint64_t)job->classes) {
        cli_message("too many pictures for one run: %lld", (long long)count);
        return CLI_FAILED;
    }
    size_t elements = (size_t)count * (size_t)job->classes;
    float *scores = malloc(elements ? elements * sizeof *scores : 1);
    scored *ranks = malloc(((size_t)job->classes + 1) * sizeof *ranks);
    int status = CLI_GO_ON;
    if (!scores || !ranks) {
        cli_message("out of memory for %lld pictures of %lld scores", (long long)count, (long long)job->classes);
        status = CLI_FAILED;
    } else {
        tlvk_status st = tlvk_model_predict(job->model, data, scores, elements);
        status = st ? cli_fail(job->ctx, st, CLI_WORKING) : CLI_GO_ON;
    }
    bool some_failed = status == CLI_GO_ON && tlvk_dataset_failed_count(data) > 0;
    for (int64_t i = 0; status == CLI_GO_ON && i < count; i++) {
        const float *row = scores + i * job->classes;
        if (!some_failed || !isnan(row[0])) {
            print_picture(job, tlvk_dataset_path(data, i), row, ranks);
        }
    }
    cli_report_failed(data);
    free(ranks);
    free(scores);
    return status;
}

/* A folder is a data set of its own; files that stand next to each other are one together. */
static int predict_paths(predict_job *job, char **paths, int count) {
    int status = CLI_GO_ON;
    for (int i = 0; i < count && status == CLI_GO_ON;) {
        tlvk_dataset *data = NULL;
        tlvk_status st;
        int files = 0;
        while (i + files < count && !cli_is_picture_folder(paths[i + files])) {
            files++;
        }
        tlvk_image_folder_desc desc = job->desc;
        desc.unlabeled = desc.no_shuffle = true;
        if (files) {
            st = tlvk_image_dataset_from_files(job->ctx, (const char *const *)(paths + i), (size_t)files, &desc, &data);
        } else {
            desc.path = paths[i];
            st = tlvk_image_dataset_from_directory(job->ctx, &desc, &data);
        }
        status = st ? cli_fail(job->ctx, st, CLI_READING) : predict_dataset(job, data);
        tlvk_dataset_destroy(data);
        i += files ? files : 1;
    }
    return status;
}

static int check_output(predict_job *job) {
    int64_t shape[TLVK_MAX_DIMS] = {0};
    int rank = tlvk_model_output_count(job->model) == 1 ? tlvk_tensor_shape(tlvk_model_output(job->model, 0), shape) : 0;
    if (rank != 1 || shape[0] < 1) {
        cli_message("%s: this model does not classify: one output of a score for each class is wanted", job->spec);
        return CLI_REFUSED;
    }
    job->classes = shape[0];
    int64_t names = shape[0] == 1 ? 2 : shape[0];
    if (job->labels.count && job->labels.count != names) {
        cli_message("%d class names for the %lld classes of %s", job->labels.count, (long long)names, job->spec);
        return CLI_REFUSED;
    }
    return CLI_GO_ON;
}

static int predict(predict_job *job, const cli_model_request *request, const cli_picture_options *pictures, char **paths, int count) {
    int status = CLI_GO_ON;
    for (int i = 0; i < count && status == CLI_GO_ON; i++) {
        status = cli_check_path(paths[i]);
    }
    char *unnamed = NULL;
    if (status == CLI_GO_ON && cli_is_official(job->spec) && !pictures->labels && job->top) {
        status = cli_fetch_class_names(job->ctx, &unnamed);
    }
    if (status == CLI_GO_ON) {
        status = cli_open_model(job->ctx, request, &job->model);
    }
    if (status == CLI_GO_ON && unnamed) {
        cli_message("warning: classes have no names: %s", unnamed);
    }
    free(unnamed);
    if (status == CLI_GO_ON) {
        status = cli_labels_find(job->model, job->spec, pictures->labels, &job->labels);
    }
    if (status == CLI_GO_ON) {
        status = check_output(job);
    }
    if (status == CLI_GO_ON) {
        status = cli_picture_desc(job->model, job->spec, pictures, &job->desc);
    }
    if (status == CLI_GO_ON) {
        status = predict_paths(job, paths, count);
    }
    if (status == CLI_GO_ON) {
        status = job->done ? CLI_DONE : CLI_REFUSED;
    }
    return status;
}

static int run(const cli_command *command, int argc, char **argv) {
    cli_common common = {0};
    cli_picture_options pictures = {0};
    predict_job job = {.top = 5};
    cli_option common_rows[CLI_COMMON_ROWS], picture_rows[CLI_PICTURE_ROWS];
    cli_common_options(&common, common_rows);
    cli_picture_options_rows(&pictures, picture_rows);
    const cli_option rows[] = {
        {"top", 0, CLI_INTEGER, &job.top, "N", "the N best classes of each picture (default 5); 0: the scores of all, in the model's order", 0, 1e6, NULL},
        {NULL, 0, CLI_FLAG, NULL, NULL, NULL, 0, 0, NULL},
    };
    cli_option net_rows[CLI_NET_ROWS];
    cli_net_options(&common, net_rows);
    const cli_group groups[] = {{"Options", common_rows}, {"Result", rows}, {"Pictures", picture_rows}, {"Built-in networks", net_rows}, {NULL, NULL}};
    int first;
    int status = cli_parse(command, groups, argc, argv, &first);
    if (status != CLI_GO_ON) {
        return status;
    }
    if (argc - first < 2) {
        return cli_usage(command, "a MODEL and at least one PATH are wanted");
    }
    job.spec = argv[first];
    job.json = common.json;
    const cli_model_request request = {.spec = job.spec, .size = {pictures.size[0], pictures.size[1]}, .alpha = common.alpha};
    status = cli_open_context(&common, &job.ctx);
    if (status == CLI_GO_ON) {
        status = predict(&job, &request, &pictures, argv + first + 1, argc - first - 1);
    }
    cli_labels_free(&job.labels);
    tlvk_model_destroy(job.model);
    cli_close_context(job.ctx);
    return status;
}

const cli_command cli_predict = {
    .name = "predict",
    .operands = "MODEL PATH...",
    .summary = "Classify pictures or folders of pictures",
    .details = "A PATH may lie in an archive (.zip, .tar, .tar.gz): pets.zip//test, pets.zip//test/1.jpg.\n"
               "Pictures that cannot be read are named on stderr and left out; the status is 4 where none could be read.",
    .example = "tlvk predict mine.h5 --top 3 holiday/ cat.jpg",
    .run = run,
};
