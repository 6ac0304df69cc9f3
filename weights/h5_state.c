/* h5_state.c - walks the groups of Keras 3's form of weights, in the guarded child.
 *
 * Hides: that a layer's weights are the datasets 0, 1, 2, ... of a group `vars` (keras/src/saving/saving_lib.py, H5IOStore). Soft and external links
 * are refused, as Keras does; hard links may lead in circles, which the depth and the budget end. */
#include "weights/h5_reader.h"

#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 64        /* groups in groups: two for each model around a layer */
#define GROUP_BYTES 256u    /* what a group costs of the budget: it takes more than that in a file */
#define MAX_PATH 4096

typedef struct links { tlvk__h5_names names; tlvk_status status; } links;

static herr_t add_link(hid_t group, const char *name, const H5L_info_t *info, void *user) {
    links *l = user;
    (void)group;
    if (info->type != H5L_TYPE_HARD)
        l->status = tlvk__fail(TLVK_ERROR_FORMAT, "'%s' is a link to another place, which Keras does not follow", name);
    else
        l->status = tlvk__h5_names_add(&l->names, name, strlen(name));
    return l->status ? 1 : 0;
}

/* By length, then by bytes: 0, 1, ..., 9, 10, ... */
static int compare_names(const void *a, const void *b) {
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    size_t m = strlen(x), n = strlen(y);
    return m != n ? (m < n ? -1 : 1) : strcmp(x, y);
}

static tlvk_status list_links(tlvk__h5_reader *r, hid_t group, const char *path, tlvk__h5_names *names) {
    links l = {0};
    herr_t walked = H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, add_link, &l);
    if (!l.status && walked < 0)
        l.status = tlvk__fail(TLVK_ERROR_FORMAT, "its links cannot be read");
    uint64_t bytes = GROUP_BYTES;
    for (size_t i = 0; i < l.names.count; i++)
        bytes += 2 * sizeof(char *) + strlen(l.names.text[i]);
    if (!l.status)
        l.status = tlvk__h5_spend(r, bytes, "its links");
    if (l.names.count > 1)
        qsort(l.names.text, l.names.count, sizeof *l.names.text, compare_names);
    *names = l.names;
    return l.status ? tlvk__fail_context(l.status, "group '%s'", path) : TLVK_OK;
}

static tlvk_status put_vars(tlvk__h5_reader *r, hid_t group, const char *path) {
    tlvk__h5_names names = {0};
    char what[MAX_PATH + 300];
    tlvk_status status = tlvk__h5_put_number(r, 1);
    if (!status)
        status = tlvk__h5_put_text(r, path);
    if (!status)
        status = list_links(r, group, path, &names);
    if (!status)
        status = tlvk__h5_put_number(r, names.count);
    for (size_t i = 0; !status && i < names.count; i++) {
        snprintf(what, sizeof what, "'%s/vars/%s'", path, names.text[i]);
        status = tlvk__h5_put_array(r, group, names.text[i], names.text[i], what);
    }
    tlvk__h5_names_free(&names);
    return status;
}

static bool is_group(hid_t place, const char *name) {
    H5O_info_t info;
    return H5Oget_info_by_name(place, name, &info, H5P_DEFAULT) >= 0 && info.type == H5O_TYPE_GROUP;
}

static tlvk_status put_group(tlvk__h5_reader *r, hid_t group, const char *path, int depth) {
    tlvk__h5_names names = {0};
    tlvk_status status = list_links(r, group, path, &names);
    for (size_t i = 0; !status && i < names.count; i++) {
        const char *name = names.text[i];
        bool vars = strcmp(name, "vars") == 0;
        char inner[MAX_PATH];
        if (!is_group(group, name))
            continue; /* Keras looks for datasets in `vars` alone */
        int length = snprintf(inner, sizeof inner, "%s%s%s", path, *path ? "/" : "", name);
        if (length < 0 || (size_t)length >= sizeof inner || depth == MAX_DEPTH)
            return tlvk__h5_names_free(&names), tlvk__fail(TLVK_ERROR_FORMAT, "its groups are nested more than %d deep, or their names are longer than %d "
                                                           "bytes", MAX_DEPTH, MAX_PATH);
        hid_t child = H5Gopen2(group, name, r->group_access);
        if (child < 0)
            status = tlvk__fail(TLVK_ERROR_FORMAT, "the group '%s' cannot be opened", inner);
        else
            status = vars ? put_vars(r, child, path) : put_group(r, child, inner, depth + 1);
        if (child >= 0)
            H5Gclose(child);
    }
    tlvk__h5_names_free(&names);
    return status;
}

tlvk_status tlvk__h5_put_state(tlvk__h5_reader *r, hid_t file) {
    tlvk_status status = put_group(r, file, "", 0);
    if (!status)
        status = tlvk__h5_put_number(r, 0); /* no more groups */
    return status ? status : tlvk__h5_put_number(r, 0); /* the optimizer is one of them */
}
