/* pictures.c - hides how a folder or a list of files becomes a dataset: classes, split, and the picture options' defaults.
 * Source of the rules: image_dataset_from_directory in keras/src/utils/image_dataset_utils.py and dataset_utils.py (3.15). */
#include "core/context.h"
#include "core/platform.h"
#include "data/dataset.h"
#include "data/file_list.h"

#include <stdlib.h>
#include <string.h>

/* --- options ------------------------------------------------------------------------------------------------------------- */

static tlvk_status channels_of(tlvk_color_mode mode, int *channels) {
    switch (mode) {
    case TLVK_COLOR_AUTO:
    case TLVK_RGB: *channels = 3; return TLVK_OK;
    case TLVK_GRAYSCALE: *channels = 1; return TLVK_OK;
    case TLVK_RGBA: *channels = 4; return TLVK_OK;
    }
    return tlvk__fail(TLVK_ERROR_ARGUMENT, "color_mode %d is none of tlvk_color_mode", (int)mode);
}

static tlvk_status resolve_spec(const tlvk_image_folder_desc *desc, tlvk__picture_spec *spec) {
    int height = desc->image_size[0] ? desc->image_size[0] : 256, width = desc->image_size[1] ? desc->image_size[1] : height;
    *spec = (tlvk__picture_spec){.height = height, .width = width, .fast_decode = desc->fast_decode};
    if (height < 1 || width < 1 || height > TLVK__PICTURE_MAX_SIDE_PX || width > TLVK__PICTURE_MAX_SIDE_PX) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "image_size %d x %d (height x width): each must be 1 to %d", height, width, TLVK__PICTURE_MAX_SIDE_PX);
    }
    tlvk_status st = channels_of(desc->color_mode, &spec->channels);
    if (st) {
        return st;
    }
    spec->resize = desc->resize == TLVK_RESIZE_AUTO ? TLVK_BILINEAR : desc->resize;
    spec->preprocess = desc->preprocess == TLVK_PREPROCESS_AUTO ? TLVK_PREPROCESS_NONE : desc->preprocess;
    if (spec->resize != TLVK_BILINEAR && spec->resize != TLVK_NEAREST) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "resize %d is none of tlvk_resize", (int)spec->resize);
    }
    if ((int)spec->preprocess < TLVK_PREPROCESS_NONE || spec->preprocess > TLVK_PREPROCESS_SCALE) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "preprocess %d is none of tlvk_preprocess", (int)spec->preprocess);
    }
    bool by_channel = spec->preprocess == TLVK_PREPROCESS_CAFFE || spec->preprocess == TLVK_PREPROCESS_TORCH;
    if (by_channel && spec->channels != 3) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "preprocess %s has a mean for each of red, green and blue; color_mode gives %d channel%s",
                          spec->preprocess == TLVK_PREPROCESS_CAFFE ? "caffe" : "torch", spec->channels, spec->channels == 1 ? "" : "s");
    }
    return TLVK_OK;
}

static tlvk_status check_desc(const tlvk_image_folder_desc *desc) {
    if (desc->batch_size < 0) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "batch_size %d: must be at least 1 (0: 32)", desc->batch_size);
    }
    if ((desc->class_names != NULL) != (desc->class_count > 0)) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "class_names and class_count (%d) must be given together", desc->class_count);
    }
    if (desc->unlabeled && desc->class_names) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "class_names cannot be given for unlabeled pictures");
    }
    bool split = desc->validation_split > 0 && desc->validation_split < 1;
    if (!split && !(desc->validation_split == 0)) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "validation_split %g: must be between 0 and 1", desc->validation_split);
    }
    if (split != (desc->subset != TLVK_SUBSET_ALL)) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "validation_split and subset must be given together (split %g, subset %d)", desc->validation_split,
                          (int)desc->subset);
    }
    if (split && desc->subset != TLVK_SUBSET_TRAINING && desc->subset != TLVK_SUBSET_VALIDATION) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "subset %d is none of tlvk_subset", (int)desc->subset);
    }
    if (!desc->no_shuffle && desc->seed > UINT32_MAX) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "seed %llu: the order of files is NumPy's, whose seeds end at 4294967295", (unsigned long long)desc->seed);
    }
    return TLVK_OK;
}

/* --- classes ------------------------------------------------------------------------------------------------------------- */

typedef struct names {
    char **v;
    size_t count, capacity;
} names;

static void names_free(names *n) {
    for (size_t i = 0; i < n->count; i++) {
        free(n->v[i]);
    }
    free(n->v);
    *n = (names){0};
}

static tlvk_status names_add(names *n, const char *name) {
    char *copy = tlvk__strdup(name);
    char **grown = copy ? tlvk__grow(n->v, &n->capacity, n->count + 1, sizeof *n->v) : NULL;
    if (!grown) {
        free(copy);
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for class names");
    }
    n->v = grown;
    n->v[n->count++] = copy;
    return TLVK_OK;
}

static bool names_have(const names *n, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(n->v[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* The folders right in `path` but those whose name begins with a dot; *others counts what else lies there. */
static tlvk_status list_classes(const tlvk__tree *tree, const char *path, names *classes, size_t *others) {
    tlvk__dir_entry *entries = NULL;
    size_t count = 0;
    tlvk_status st = tlvk__tree_list(tree, path, &entries, &count);
    for (size_t i = 0; i < count && !st; i++) {
        if (!entries[i].folder) {
            *others += 1;
        } else if (entries[i].name[0] != '.') {
            st = names_add(classes, entries[i].name);
        }
    }
    tlvk__dir_entries_free(entries, count);
    return st;
}

/* The caller's order of classes in place of the sorted folders; a subset is allowed, as in Keras. */
static tlvk_status choose_classes(const tlvk_image_folder_desc *desc, names *classes) {
    names chosen = {0};
    tlvk_status st = TLVK_OK;
    for (int i = 0; i < desc->class_count && !st; i++) {
        const char *name = desc->class_names[i];
        if (!name || !names_have(classes, classes->count, name)) {
            st = tlvk__fail(TLVK_ERROR_DATA, "%s: no folder for the class '%s' (there are %zu, the first is '%s')", desc->path, name ? name : "(null)",
                            classes->count, classes->v[0]);
        } else if (names_have(&chosen, chosen.count, name)) {
            st = tlvk__fail(TLVK_ERROR_ARGUMENT, "class_names has '%s' twice", name);
        } else {
            st = names_add(&chosen, name);
        }
    }
    if (st) {
        names_free(&chosen);
        return st;
    }
    names_free(classes);
    *classes = chosen;
    return TLVK_OK;
}

/* Many archives have one folder in which all the others are. Taking it for the only class would be what Keras does with folders, and hardly wanted. */
static tlvk_status check_single_folder(const tlvk__tree *tree, const tlvk_image_folder_desc *desc, const names *classes) {
    if (!tree->archive || classes->count != 1 || desc->class_names) {
        return TLVK_OK;
    }
    names below = {0};
    size_t others = 0;
    char *path = tlvk__path_join(desc->path, classes->v[0]);
    tlvk_status st = path ? list_classes(tree, path, &below, &others) : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a path");
    if (!st && below.count > 0 && others == 0) {
        st = tlvk__fail(TLVK_ERROR_DATA, "%s: all it has is the folder '%s', in which %s '%s'%s; say %s to take %s for classes", desc->path, classes->v[0],
                        below.count == 1 ? "is the folder" : "are the folders", below.v[0], below.count > 1 ? " and others" : "", path,
                        below.count == 1 ? "it" : "them");
    }
    names_free(&below);
    free(path);
    return st;
}

static tlvk_status find_classes(const tlvk__tree *tree, const tlvk_image_folder_desc *desc, names *classes) {
    size_t others = 0;
    tlvk_status st = list_classes(tree, desc->path, classes, &others);
    if (!st && classes->count == 0) {
        st = tlvk__fail(TLVK_ERROR_DATA, "%s: no class folder in it (%zu other file%s); expected one folder per class, such as %s/cats and %s/dogs",
                        desc->path, others, others == 1 ? "" : "s", desc->path, desc->path);
    }
    if (!st) {
        st = check_single_folder(tree, desc, classes);
    }
    if (!st && classes->count > INT32_MAX) {
        st = tlvk__fail(TLVK_ERROR_DATA, "%s: %zu class folders", desc->path, classes->count);
    }
    if (!st && desc->class_names) {
        st = choose_classes(desc, classes);
    }
    return st;
}

/* --- files --------------------------------------------------------------------------------------------------------------- */

static tlvk_status walk_classes(const tlvk__tree *tree, const tlvk_image_folder_desc *desc, const names *classes, tlvk__file_list *list) {
    if (desc->unlabeled) {
        return tlvk__file_list_walk(list, tree, desc->path, -1);
    }
    tlvk_status st = TLVK_OK;
    for (size_t i = 0; i < classes->count && !st; i++) {
        char *folder = tlvk__path_join(desc->path, classes->v[i]);
        st = folder ? tlvk__file_list_walk(list, tree, folder, (int32_t)i) : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a path");
        free(folder);
    }
    return st;
}

/* Keras's get_training_or_validation_split: the last int(split * n) files validate. Where that is none or all, Keras ends up with an empty
 * or a wrong subset (samples[:-0]); here it is an error. */
static tlvk_status split_range(const tlvk_image_folder_desc *desc, size_t count, size_t *first, size_t *end) {
    *first = 0;
    *end = count;
    if (desc->subset == TLVK_SUBSET_ALL) {
        return TLVK_OK;
    }
    size_t validation = (size_t)(desc->validation_split * (double)count);
    if (validation == 0 || validation >= count) {
        return tlvk__fail(TLVK_ERROR_DATA, "%s: validation_split %g of %zu picture%s leaves none for %s", desc->path, desc->validation_split, count,
                          count == 1 ? "" : "s", validation == 0 ? "validation" : "training");
    }
    if (desc->subset == TLVK_SUBSET_TRAINING) {
        *end = count - validation;
    } else {
        *first = count - validation;
    }
    return TLVK_OK;
}

static tlvk_status list_files(const tlvk__tree *tree, const tlvk_image_folder_desc *desc, const names *classes, tlvk__file_list *list) {
    tlvk_status st = walk_classes(tree, desc, classes, list);
    if (!st && list->count == 0) {
        st = tlvk__fail(TLVK_ERROR_DATA, "%s: no picture in it or in its folders; expected files ending in .bmp .gif .jpeg .jpg .png", desc->path);
    }
    if (!st && !desc->no_shuffle) {
        st = tlvk__file_list_shuffle(list, (uint32_t)desc->seed);
    }
    return st;
}

/* --- the dataset --------------------------------------------------------------------------------------------------------- */

/* A dataset of `size` pictures with room for paths and, where `labeled`, for class numbers. */
static tlvk_status new_pictures(const tlvk_context *ctx, const tlvk_image_folder_desc *desc, size_t size, bool labeled, tlvk_dataset **out) {
    tlvk__picture_spec spec;
    tlvk_status st = resolve_spec(desc, &spec);
    tlvk_dataset *d = st ? NULL : tlvk__dataset_new((int64_t)size);
    if (!d) {
        return st ? st : TLVK_ERROR_MEMORY;
    }
    d->spec = spec;
    d->input_count = 1;
    d->inputs[0].shape = (tlvk__shape){.rank = 3, .dim = {spec.height, spec.width, spec.channels}};
    d->inputs[0].elements = (int64_t)spec.height * spec.width * spec.channels;
    d->no_shuffle = desc->no_shuffle;
    d->strict = desc->strict;
    d->seed = desc->seed;
    d->batch_size = desc->batch_size ? desc->batch_size : 32;
    d->workers = tlvk__context_workers(ctx);
    d->paths = tlvk__calloc(size, sizeof *d->paths);
    d->target_count = labeled;
    d->targets[0].labels = labeled ? tlvk__calloc(size, sizeof *d->targets[0].labels) : NULL;
    if (!d->paths || (labeled && !d->targets[0].labels)) {
        tlvk_dataset_destroy(d);
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a list of %zu pictures", size);
    }
    *out = d;
    return TLVK_OK;
}

/* Moves the entries first .. end and the class names into a new dataset. */
static tlvk_status build(const tlvk_context *ctx, const tlvk_image_folder_desc *desc, names *classes, tlvk__file_list *list, tlvk_dataset **out) {
    size_t first = 0, end = 0;
    tlvk_dataset *d = NULL;
    tlvk_status st = split_range(desc, list->count, &first, &end);
    if (!st) {
        st = new_pictures(ctx, desc, end - first, !desc->unlabeled, &d);
    }
    if (st) {
        return st;
    }
    for (size_t i = first; i < end; i++) {
        d->paths[i - first] = list->entries[i].path;
        list->entries[i].path = NULL;
        if (d->targets[0].labels) {
            d->targets[0].labels[i - first] = list->entries[i].label;
        }
    }
    if (!desc->unlabeled) {
        d->class_names = classes->v;
        d->targets[0].class_count = (int)classes->count;
        *classes = (names){0};
        st = tlvk__dataset_set_labels(d, desc->label_mode);
    }
    if (st) {
        tlvk_dataset_destroy(d);
        return tlvk__fail_context(st, "%s", desc->path);
    }
    *out = d;
    return TLVK_OK;
}

/* Where desc->path leads: a folder of the disk, or of an archive, whose contents are then read. *path (malloc'd) is how the folder is called from here
 * on: with slashes behind an archive's name. */
static tlvk_status open_tree(const tlvk_context *ctx, const char *given, tlvk__archive **archive, tlvk__tree *tree, char **path) {
    size_t file_bytes = 0;
    const char *inside = NULL;
    *tree = (tlvk__tree){0};
    *archive = NULL;
    if (!tlvk__archive_split(given, &file_bytes, &inside)) {
        *path = tlvk__strdup(given);
        if (!tlvk__is_folder(given)) {
            return tlvk__fail(TLVK_ERROR_FILE, "%s: %s", given, tlvk__is_file(given) ? "a file, expected a folder of pictures or a .zip, .tar or .tar.gz of them"
                                                                                     : "no such folder");
        }
        return *path ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a path");
    }
    char *file = tlvk__format("%.*s", (int)file_bytes, given);
    *path = tlvk__format("%.*s//%s", (int)file_bytes, given, inside);
    tlvk_status st = file && *path ? tlvk__archive_open(ctx, file, archive) : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a path");
    free(file);
    if (!st && !tlvk__archive_is_folder(*archive, inside)) {
        st = tlvk__fail(TLVK_ERROR_FILE, "%s: %s", given, tlvk__archive_find(*archive, inside) >= 0 ? "a file, expected a folder of pictures"
                                                                                                    : "no such folder in the archive");
    }
    *tree = (tlvk__tree){.archive = *archive, .root_bytes = file_bytes + 2};
    return st;
}

static tlvk_status make_dataset(const tlvk_context *ctx, const tlvk__tree *tree, const tlvk_image_folder_desc *desc, tlvk_dataset **out) {
    names classes = {0};
    tlvk__file_list list = {0};
    tlvk_status st = desc->unlabeled ? TLVK_OK : find_classes(tree, desc, &classes);
    if (!st) {
        st = list_files(tree, desc, &classes, &list);
    }
    if (!st) {
        st = build(ctx, desc, &classes, &list, out);
    }
    if (!st && tree->archive) {
        st = tlvk__dataset_take_archived(ctx, *out, tree->archive, tlvk__store_memory_bytes());
        if (st) {
            tlvk_dataset_destroy(*out);
            *out = NULL;
        }
    }
    names_free(&classes);
    tlvk__file_list_free(&list);
    return st;
}

tlvk_status tlvk_image_dataset_from_directory(tlvk_context *ctx, const tlvk_image_folder_desc *desc, tlvk_dataset **out) {
    if (out) {
        *out = NULL;
    }
    if (!desc || !desc->path || !out) {
        return tlvk__context_fail(
            ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_image_dataset_from_directory: needs a descriptor with a path, and an out pointer"));
    }
    tlvk__archive *archive = NULL;
    tlvk__tree tree;
    char *path = NULL;
    if (ctx) {
        tlvk__context_clear_cancel(ctx);
    }
    tlvk_status st = check_desc(desc);
    if (!st) {
        st = open_tree(ctx, desc->path, &archive, &tree, &path);
    }
    if (!st) {
        tlvk_image_folder_desc here = *desc;
        here.path = path;
        st = make_dataset(ctx, &tree, &here, out);
    }
    tlvk__archive_close(archive);
    free(path);
    return st ? tlvk__context_fail(ctx, st) : TLVK_OK;
}

tlvk_status tlvk_image_dataset_from_files(tlvk_context *ctx, const char *const *paths, size_t count, const tlvk_image_folder_desc *desc, tlvk_dataset **out) {
    static const tlvk_image_folder_desc defaults = {0};
    tlvk_dataset *d = NULL;
    desc = desc ? desc : &defaults;
    if (out) {
        *out = NULL;
    }
    if (!paths || count == 0 || !out) {
        return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_image_dataset_from_files: needs at least one path, and an out pointer"));
    }
    if (ctx) {
        tlvk__context_clear_cancel(ctx);
    }
    tlvk_status st = check_desc(desc);
    if (!st && desc->subset != TLVK_SUBSET_ALL) {
        st = tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_image_dataset_from_files: a list of files is not split; subset must be TLVK_SUBSET_ALL");
    }
    if (!st) {
        st = new_pictures(ctx, desc, count, false, &d);
    }
    for (size_t i = 0; i < count && !st; i++) {
        if (!paths[i]) {
            st = tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_image_dataset_from_files: path %zu is NULL", i);
        } else if (!(d->paths[i] = tlvk__strdup(paths[i]))) {
            st = tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a list of %zu pictures", count);
        }
    }
    if (!st) {
        st = tlvk__dataset_take_archived(ctx, d, NULL, tlvk__store_memory_bytes());
    }
    if (st) {
        tlvk_dataset_destroy(d);
        return tlvk__context_fail(ctx, st);
    }
    *out = d;
    return TLVK_OK;
}
