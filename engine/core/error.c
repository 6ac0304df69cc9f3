/* error.c - the text of the last failure. Hides where it lives: one buffer per thread, so that no failing call can fail to say why. */
#include "core/core.h"

#include <stdio.h>
#include <string.h>

#define TEXT_BYTES 1024

static _Thread_local char fail_text[TEXT_BYTES];

tlvk_status tlvk__fail(tlvk_status status, const char *format, ...) {
    /* Through a buffer of its own, because an argument may point into the present text. */
    char text[TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(fail_text, text, sizeof text);
    return status;
}

tlvk_status tlvk__fail_context(tlvk_status status, const char *format, ...) {
    char text[2 * TEXT_BYTES + 2];
    va_list args;
    va_start(args, format);
    vsnprintf(text, TEXT_BYTES, format, args);
    va_end(args);
    size_t used = strlen(text);
    snprintf(text + used, sizeof text - used, ": %s", fail_text);
    memcpy(fail_text, text, TEXT_BYTES);
    fail_text[TEXT_BYTES - 1] = '\0';
    return status;
}

const char *tlvk__fail_text(void) { return fail_text; }

void tlvk__fail_clear(void) { fail_text[0] = '\0'; }
