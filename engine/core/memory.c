/* memory.c - sizes that cannot overflow unseen, and memory asked for with them. Hides: the growth rule of arrays. */
#include "core/core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool tlvk__mul_size(size_t a, size_t b, size_t *out) {
    if (a != 0 && b > SIZE_MAX / a)
        return false;
    *out = a * b;
    return true;
}

bool tlvk__add_size(size_t a, size_t b, size_t *out) {
    if (b > SIZE_MAX - a)
        return false;
    *out = a + b;
    return true;
}

bool tlvk__mul_i64(int64_t a, int64_t b, int64_t *out) {
    if (a == 0 || b == 0) {
        *out = 0;
        return true;
    }
    /* Each sign case divides in the direction that cannot overflow itself (INT64_MIN / -1 does). */
    bool fits;
    if (a > 0)
        fits = b > 0 ? a <= INT64_MAX / b : b >= INT64_MIN / a;
    else
        fits = b > 0 ? a >= INT64_MIN / b : b >= INT64_MAX / a;
    if (!fits)
        return false;
    *out = a * b;
    return true;
}

void *tlvk__calloc(size_t count, size_t size) {
    size_t bytes;
    if (!tlvk__mul_size(count, size, &bytes))
        return NULL;
    return calloc(1, bytes ? bytes : 1);
}

void *tlvk__grow(void *array, size_t *capacity, size_t need, size_t size) {
    if (need <= *capacity && array)
        return array;
    size_t wanted = TLVK__MAX(need, 8), doubled, bytes;
    if (tlvk__mul_size(*capacity, 2, &doubled))
        wanted = TLVK__MAX(wanted, doubled);
    if (!tlvk__mul_size(wanted, size, &bytes))
        return NULL;
    char *grown = realloc(array, bytes ? bytes : 1);
    if (!grown)
        return NULL;
    size_t old = array ? *capacity * size : 0;
    memset(grown + old, 0, bytes - old);
    *capacity = wanted;
    return grown;
}

char *tlvk__strdup(const char *s) {
    size_t bytes = strlen(s) + 1;
    char *copy = malloc(bytes);
    if (copy)
        memcpy(copy, s, bytes);
    return copy;
}

char *tlvk__format(const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = length < 0 ? NULL : malloc((size_t)length + 1);
    if (text)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}
