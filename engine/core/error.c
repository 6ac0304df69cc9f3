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

/* --- what an error comes of ------------------------------------------------------------------------------------------------------------ */

static _Thread_local char cause[TEXT_BYTES]; /* "": the last public call did not fail */

tlvk_status tlvk__fail_after(tlvk_status status, const char *format, ...) {
    char text[TEXT_BYTES], whole[TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const int room = (int)(TEXT_BYTES - 40 - TLVK__MIN(strlen(cause), TEXT_BYTES / 2)); /* the cause is the part that matters */
    snprintf(whole, sizeof whole, cause[0] ? "%.*s; the call before it failed: %s" : "%.*s", cause[0] ? room : TEXT_BYTES, text, cause);
    memcpy(fail_text, whole, sizeof whole);
    return status;
}

void tlvk__fail_note(bool failed) {
    if (!failed)
        cause[0] = '\0';
    else if (!cause[0] || !strstr(fail_text, cause)) /* else it came of that, and says so */
        memcpy(cause, fail_text, sizeof cause);
}

const char *tlvk__fail_text(void) { return fail_text; }

void tlvk__fail_clear(void) { fail_text[0] = '\0'; }
