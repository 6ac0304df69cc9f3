/* transfer.c - blocking transfers between host memory and a span. Hides: the staging buffer and its pieces. */
#include "vk/internal.h"

#include <inttypes.h>
#include <string.h>

/* One copy, recorded, run and dropped. */
static tlvk_status copy_now(tlvk__device *d, tlvk__span from, tlvk__span to) {
    tlvk__recorder *r;
    tlvk__recording *rec;
    tlvk_status status = tlvk__recorder_create(d, NULL, &r);
    if (status != TLVK_OK)
        return status;
    tlvk__record_copy(r, from, to);
    status = tlvk__recorder_finish(r, &rec);
    if (status != TLVK_OK)
        return status;
    status = tlvk__recording_run(rec);
    tlvk__recording_destroy(rec);
    return status;
}

static tlvk_status check(const tlvk__span *s, const char *what) {
    if (!s->buffer || s->offset > s->buffer->bytes || s->bytes > s->buffer->bytes - s->offset)
        return tlvk__fail(TLVK_ERROR_INTERNAL, "%s: bytes %" PRIu64 " + %" PRIu64 " of a buffer of %" PRIu64, what, s->offset, s->bytes,
                          s->buffer ? s->buffer->bytes : 0);
    return TLVK_OK;
}

tlvk_status tlvk__span_write(tlvk__device *d, tlvk__span to, const void *from) {
    tlvk_status status = check(&to, "writing a span");
    if (status != TLVK_OK || to.bytes == 0)
        return status;
    if (d->dry) {
        if (to.buffer->map)
            memcpy((char *)to.buffer->map + to.offset, from, (size_t)to.bytes);
        return TLVK_OK;
    }
    tlvk__buffer *staging;
    status = tlvk__buffer_create(d, TLVK__BUFFER_UPLOAD, TLVK__MIN(to.bytes, TLVK__TRANSFER_BYTES), "staging for an upload", &staging);
    for (uint64_t done = 0; status == TLVK_OK && done < to.bytes; done += staging->bytes) {
        uint64_t piece = TLVK__MIN(to.bytes - done, staging->bytes);
        memcpy(staging->map, (const char *)from + done, (size_t)piece);
        status = tlvk__buffer_flush(staging, 0, piece);
        if (status == TLVK_OK)
            status = copy_now(d, (tlvk__span){staging, 0, piece}, (tlvk__span){to.buffer, to.offset + done, piece});
    }
    tlvk__buffer_destroy(staging);
    return status;
}

tlvk_status tlvk__span_read(tlvk__device *d, tlvk__span from, void *to) {
    tlvk_status status = check(&from, "reading a span");
    if (status != TLVK_OK || from.bytes == 0)
        return status;
    if (d->dry) {
        if (from.buffer->map)
            memcpy(to, (char *)from.buffer->map + from.offset, (size_t)from.bytes);
        else
            memset(to, 0, (size_t)from.bytes);
        return TLVK_OK;
    }
    tlvk__buffer *staging;
    status = tlvk__buffer_create(d, TLVK__BUFFER_DOWNLOAD, TLVK__MIN(from.bytes, TLVK__TRANSFER_BYTES), "staging for a download", &staging);
    for (uint64_t done = 0; status == TLVK_OK && done < from.bytes; done += staging->bytes) {
        uint64_t piece = TLVK__MIN(from.bytes - done, staging->bytes);
        status = copy_now(d, (tlvk__span){from.buffer, from.offset + done, piece}, (tlvk__span){staging, 0, piece});
        if (status == TLVK_OK)
            status = tlvk__buffer_invalidate(staging, 0, piece);
        if (status == TLVK_OK)
            memcpy((char *)to + done, staging->map, (size_t)piece);
    }
    tlvk__buffer_destroy(staging);
    return status;
}
