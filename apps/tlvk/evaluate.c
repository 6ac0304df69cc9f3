/* evaluate.c - `tlvk evaluate`: loss and accuracy of a model on a folder with a folder for each class. */
#include "cli.h"

#include <math.h>

/* Class folders are taken in the model's order of classes where it is known, else sorted as Keras does. */
static int open_data(tlvk_context *ctx, const tlvk_model *model, const char *spec, const cli_picture_options *pictures, const char *folder,
                     tlvk_dataset **data) {
    int64_t shape[TLVK_MAX_DIMS] = {0};
    if (tlvk_model_output_count(model) != 1 || tlvk_tensor_shape(tlvk_model_output(model, 0), shape) != 1 || shape[0] < 1) {
        cli_message("%s: this model does not classify: one output of a score for each class is wanted", spec);
        return CLI_REFUSED;
    }
    tlvk_image_folder_desc desc;
    int status = cli_picture_desc(model, spec, pictures, &desc);
    cli_labels labels = {0};
    /* Folders of ImageNet are called n01440764 and so on, whose order is the classes'; the classes' names are no folders. */
    if (status == CLI_GO_ON && (pictures->labels || !cli_is_net(spec))) {
        status = cli_labels_find(model, spec, pictures->labels, &labels);
    }
    if (status != CLI_GO_ON) {
        return status;
    }
    desc.path = folder;
    desc.no_shuffle = true;
    desc.label_mode = shape[0] == 1 ? TLVK_LABEL_BINARY : TLVK_LABEL_INT;
    desc.class_names = (const char *const *)labels.names;
    desc.class_count = labels.count;
    tlvk_status st = tlvk_image_dataset_from_directory(ctx, &desc, data);
    cli_labels_free(&labels);
    if (st) {
        return cli_fail(ctx, st, CLI_READING);
    }
    int classes = tlvk_dataset_class_count(*data);
    if (classes != (shape[0] == 1 ? 2 : shape[0])) {
        cli_message("%s: %d classes; %s has %lld", folder, classes, spec, (long long)(shape[0] == 1 ? 2 : shape[0]));
        return CLI_REFUSED;
    }
    return CLI_GO_ON;
}

static int evaluate(tlvk_context *ctx, tlvk_model *model, tlvk_dataset *data, bool json) {
    tlvk_logs logs = {0};
    tlvk_status st = tlvk_model_evaluate(model, data, &logs);
    cli_report_failed(data);
    if (st) {
        return cli_fail(ctx, st, CLI_WORKING);
    }
    if (json) {
        cli_print_json(json_pack("{s:o, s:o, s:I}", "loss", cli_json_number(logs.loss), "accuracy", cli_json_number(logs.accuracy), "samples",
                                 (json_int_t)logs.samples));
    } else {
        printf("loss %.4f, ", logs.loss);
        if (!isnan(logs.accuracy)) { /* the file's own compile may name no metric */
            printf("accuracy %.4f, ", logs.accuracy);
        }
        printf("%lld pictures\n", (long long)logs.samples);
    }
    return CLI_DONE;
}

static int run(const cli_command *command, int argc, char **argv) {
    cli_common common = {0};
    cli_picture_options pictures = {0};
    cli_option common_rows[CLI_COMMON_ROWS], picture_rows[CLI_PICTURE_ROWS];
    cli_common_options(&common, common_rows);
    cli_picture_options_rows(&pictures, picture_rows);
    cli_option net_rows[CLI_NET_ROWS];
    cli_net_options(&common, net_rows);
    const cli_group groups[] = {{"Options", common_rows}, {"Pictures", picture_rows}, {"Built-in networks", net_rows}, {NULL, NULL}};
    int first;
    int status = cli_parse(command, groups, argc, argv, &first);
    if (status != CLI_GO_ON) {
        return status;
    }
    if (argc - first != 2) {
        return cli_usage(command, "a MODEL and a DIR are wanted");
    }
    const char *spec = argv[first], *folder = argv[first + 1];
    status = cli_check_folder(folder);
    if (status != CLI_GO_ON) {
        return status;
    }
    const cli_model_request request = {.spec = spec, .size = {pictures.size[0], pictures.size[1]}, .alpha = common.alpha};
    tlvk_context *ctx = NULL;
    tlvk_model *model = NULL;
    tlvk_dataset *data = NULL;
    status = cli_open_context(&common, &ctx);
    if (status == CLI_GO_ON) {
        status = cli_open_model(ctx, &request, &model);
    }
    if (status == CLI_GO_ON) {
        status = open_data(ctx, model, spec, &pictures, folder, &data);
    }
    if (status == CLI_GO_ON) {
        status = evaluate(ctx, model, data, common.json);
    }
    tlvk_dataset_destroy(data);
    tlvk_model_destroy(model);
    cli_close_context(ctx);
    return status;
}

const cli_command cli_evaluate = {
    .name = "evaluate",
    .operands = "MODEL DIR",
    .summary = "Measure loss and accuracy on a folder with a folder for each class",
    .details = "Loss and metric are those the model was compiled with when its file was written; without them a\n"
               "cross-entropy and accuracy. DIR may lie in an archive (.zip, .tar, .tar.gz): pets.zip//val.",
    .example = "tlvk evaluate mine.h5 photos/val",
    .run = run,
};
