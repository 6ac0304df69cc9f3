/* registry.h - which official files there are: where each lies, what it is called in Keras's cache, and the hash it was published with.
 * Hides: the table. Source: keras/src/applications of Keras 3.15, against which tests/parity/registry.py holds every row. */
#ifndef TLVK_REGISTRY_H
#define TLVK_REGISTRY_H

#include "core/digest.h"

typedef struct tlvk__official {
    char file[128];              /* name in the cache folder */
    char address[256];
    const char *hash;            /* lower-case hexadecimal; NULL: none was published (mobilenet, mobilenetv2) */
    tlvk__digest_kind hash_kind;
} tlvk__official;

/* Widths and sizes that official weights come in, of networks that Keras gives a width. */
typedef struct tlvk__official_widths {
    struct { float alpha; const char *text; const char *hash[2]; } alpha[8]; /* `text`: as file names write it; ends at text NULL */
    int size[8];                 /* heights, equal to the width in pixels; ends at 0 */
} tlvk__official_widths;

/* The file for `net` ("imagenet_class_index" too). desc NULL: with the classifier. TLVK_ERROR_ARGUMENT names what there is instead. */
tlvk_status tlvk__official_find(const char *net, const tlvk_fetch_desc *desc, tlvk__official *out);
/* NULL: there is one width. */
const tlvk__official_widths *tlvk__official_widths_of(const char *net);
/* Names of the table's rows in order; NULL past the last. */
const char *tlvk__official_net(int index);

#endif
