/* shape.c - equality, size and text of shapes. Hides: nothing but the arithmetic. */
#include "core/core.h"

#include <inttypes.h>
#include <stdio.h>

bool tlvk__shape_equal(const tlvk__shape *a, const tlvk__shape *b) {
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return true;
}

bool tlvk__shape_elements(const tlvk__shape *s, int64_t *out) {
    int64_t elements = 1;
    for (int i = 0; i < s->rank; i++)
        if (s->dim[i] < 0 || !tlvk__mul_i64(elements, s->dim[i], &elements))
            return false;
    *out = elements;
    return true;
}

char *tlvk__shape_text(const tlvk__shape *s, char *buffer, size_t size) {
    size_t used = 0;
    if (size == 0)
        return buffer;
    buffer[0] = '\0';
    for (int i = 0; i <= s->rank; i++) {
        char part[40];
        /* A tuple of one has a comma behind its element in Python. */
        if (i == s->rank)
            snprintf(part, sizeof part, "%s", s->rank == 0 ? "()" : s->rank == 1 ? ",)" : ")");
        else if (s->dim[i] < 0)
            snprintf(part, sizeof part, "%sNone", i ? ", " : "(");
        else
            snprintf(part, sizeof part, "%s%" PRId64, i ? ", " : "(", s->dim[i]);
        int n = snprintf(buffer + used, size - used, "%s", part);
        if (n < 0 || (size_t)n >= size - used)
            break;
        used += (size_t)n;
    }
    return buffer;
}
