/* public.c - the public calls that need no context. */
#include "core/core.h"

#include <stdlib.h>

#define TEXT(x) #x
#define VERSION(a, b, c) TEXT(a) "." TEXT(b) "." TEXT(c)

const char *tlvk_version(void) { return VERSION(TLVK_VERSION_MAJOR, TLVK_VERSION_MINOR, TLVK_VERSION_PATCH); }

const char *tlvk_status_name(tlvk_status status) {
    switch (status) {
    case TLVK_OK: return "ok";
    case TLVK_ERROR_ARGUMENT: return "argument";
    case TLVK_ERROR_FILE: return "file";
    case TLVK_ERROR_FORMAT: return "format";
    case TLVK_ERROR_UNSUPPORTED: return "unsupported";
    case TLVK_ERROR_NO_DEVICE: return "no device";
    case TLVK_ERROR_DEVICE_LOST: return "device lost";
    case TLVK_ERROR_MEMORY: return "memory";
    case TLVK_ERROR_CANCELLED: return "cancelled";
    case TLVK_ERROR_DATA: return "data";
    case TLVK_ERROR_INTERNAL: return "internal";
    }
    return "unknown status";
}

void tlvk_free(void *p) { free(p); }
