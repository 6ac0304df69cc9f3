/* pipeline_cache.c - compiled pipelines on disk, so that a second start does not compile again.
 * Hides: the file's name and form: our mark, a hash of the rest, then the driver's own data, whose header must name this very driver.
 * A file that is damaged or another driver's is ignored and written anew; the cache never makes a call fail. */
#include "vk/internal.h"

#include "core/platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK "tlvkpc1"
#define MARK_BYTES 8
#define HASH_BYTES 16
#define DRIVER_HEADER_BYTES 32 /* VkPipelineCacheHeaderVersionOne */
#define LIMIT_BYTES ((size_t)512 << 20)

static tlvk__hash hash_of(const void *bytes, size_t size) {
    tlvk__hash h;
    tlvk__hash_init(&h);
    tlvk__hash_add(&h, bytes, size);
    return h;
}

static bool fits_driver(const tlvk__device *d, const unsigned char *data, size_t size) {
    uint32_t head[4];
    if (size < DRIVER_HEADER_BYTES)
        return false;
    memcpy(head, data, sizeof head);
    return head[0] >= DRIVER_HEADER_BYTES && head[0] <= size && head[1] == VK_PIPELINE_CACHE_HEADER_VERSION_ONE &&
           head[2] == d->caps.vendor_id && head[3] == d->caps.device_id && memcmp(data + 16, d->caps.pipeline_cache_uuid, 16) == 0;
}

/* The file's driver data, pointing into *file, which the caller frees; NULL when there is none to use. */
static const unsigned char *load(const tlvk__device *d, void **file, size_t *size) {
    size_t file_size;
    *file = NULL;
    if (!d->pipelines.cache_path || !tlvk__is_file(d->pipelines.cache_path) ||
        tlvk__file_read(d->pipelines.cache_path, file, &file_size, LIMIT_BYTES) != TLVK_OK)
        return NULL;
    const unsigned char *bytes = *file;
    if (file_size < MARK_BYTES + HASH_BYTES || memcmp(bytes, MARK, MARK_BYTES) != 0)
        return NULL;
    *size = file_size - MARK_BYTES - HASH_BYTES;
    const unsigned char *data = bytes + MARK_BYTES + HASH_BYTES;
    tlvk__hash h = hash_of(data, *size);
    return memcmp(bytes + MARK_BYTES, h.h, HASH_BYTES) == 0 && fits_driver(d, data, *size) ? data : NULL;
}

static char *path_in(const tlvk__device *d, const char *folder) {
    char id[65];
    for (int i = 0; i < 32; i++)
        snprintf(id + 2 * i, 3, "%02x", (unsigned)(i < 16 ? d->caps.driver_uuid[i] : d->caps.device_uuid[i - 16]));
    return tlvk__format("%s/pipelines-%s.bin", folder, id);
}

tlvk_status tlvk__pipeline_cache_open(tlvk__device *d, const char *folder) {
    tlvk__pipelines *p = &d->pipelines;
    if (folder && *folder && !(p->cache_path = path_in(d, folder)))
        return tlvk__fail(TLVK_ERROR_MEMORY, "opening the pipeline cache: no memory");
    void *file;
    size_t size = 0;
    const unsigned char *data = load(d, &file, &size);
    if (p->cache_path)
        tlvk__device_log(d, TLVK_LOG_DEBUG, "pipeline cache \"%s\": %zu bytes used", p->cache_path, data ? size : (size_t)0);
    VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO, .initialDataSize = data ? size : 0,
                                      .pInitialData = data};
    VkResult result = d->vk.vkCreatePipelineCache(d->handle, &info, NULL, &p->cache);
    if (result != VK_SUCCESS && data) {
        info.initialDataSize = 0;
        info.pInitialData = NULL;
        result = d->vk.vkCreatePipelineCache(d->handle, &info, NULL, &p->cache);
    }
    if (result != VK_SUCCESS)
        p->cache = VK_NULL_HANDLE;
    free(file);
    tlvk__fail_clear();
    return result == VK_SUCCESS ? TLVK_OK : tlvk__vk_fail(d, result, "making a pipeline cache");
}

static void save(tlvk__device *d) {
    tlvk__pipelines *p = &d->pipelines;
    size_t size = 0, head = MARK_BYTES + HASH_BYTES;
    if (d->vk.vkGetPipelineCacheData(d->handle, p->cache, &size, NULL) != VK_SUCCESS || size < DRIVER_HEADER_BYTES ||
        size > LIMIT_BYTES - head)
        return;
    unsigned char *bytes = tlvk__calloc(head + size, 1);
    if (!bytes)
        return;
    char *slash = strrchr(p->cache_path, '/');
    *slash = '\0';
    tlvk_status status = tlvk__make_folders(p->cache_path);
    *slash = '/';
    if (status == TLVK_OK && d->vk.vkGetPipelineCacheData(d->handle, p->cache, &size, bytes + head) == VK_SUCCESS) {
        tlvk__hash h = hash_of(bytes + head, size);
        memcpy(bytes, MARK, MARK_BYTES);
        memcpy(bytes + MARK_BYTES, h.h, HASH_BYTES);
        status = tlvk__file_replace(p->cache_path, bytes, head + size);
    }
    if (status != TLVK_OK)
        tlvk__device_log(d, TLVK_LOG_WARNING, "the pipeline cache was not saved: %s", tlvk__fail_text());
    free(bytes);
}

void tlvk__pipeline_cache_close(tlvk__device *d) {
    tlvk__pipelines *p = &d->pipelines;
    if (p->cache_path && p->changed && !d->lost)
        save(d);
    d->vk.vkDestroyPipelineCache(d->handle, p->cache, NULL);
    free(p->cache_path);
}
