/* dump_registry.c - prints every file of the registry of official weights as JSON Lines, for registry.py. */
#include "weights/registry.h"

#include <jansson.h>
#include <stdio.h>

static int print_file(const char *net, const tlvk_fetch_desc *desc) {
    tlvk__official file;
    if (tlvk__official_find(net, desc, &file)) {
        fprintf(stderr, "dump_registry: %s\n", tlvk__fail_text());
        return 1;
    }
    json_t *line = json_pack("{s:s, s:b, s:f, s:i, s:s, s:s, s:s?, s:s}", "net", net, "no_top", desc->no_top, "alpha", (double)desc->alpha, "size",
                             desc->size, "file", file.file, "address", file.address, "hash", file.hash, "kind",
                             file.hash_kind == TLVK__DIGEST_SHA256 ? "sha256" : "md5");
    char *text = json_dumps(line, JSON_REAL_PRECISION(6));
    puts(text);
    free(text);
    json_decref(line);
    return 0;
}

int main(void) {
    const char *net;
    int failed = print_file("imagenet_class_index", &(tlvk_fetch_desc){0});
    for (int i = 0; !failed && (net = tlvk__official_net(i)) != NULL; i++) {
        const tlvk__official_widths *w = tlvk__official_widths_of(net);
        for (int top = 0; top < 2 && !failed; top++) {
            if (!w)
                failed = print_file(net, &(tlvk_fetch_desc){.no_top = top != 0});
            for (int a = 0; w && w->alpha[a].text && !failed; a++)
                for (int s = 0; w->size[s] && !failed; s++)
                    failed = print_file(net, &(tlvk_fetch_desc){.no_top = top != 0, .alpha = w->alpha[a].alpha, .size = w->size[s]});
        }
    }
    return failed;
}
