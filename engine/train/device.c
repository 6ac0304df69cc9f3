/* device.c - the device of a context, opened when something is first computed. */
#include "core/platform.h"
#include "train/session.h"

#include <stdlib.h>

static void destroy_device(void *device) { tlvk__device_destroy(device); }

static void forward_log(tlvk_log_level level, const char *text, void *user) { tlvk__context_log(user, level, "%s", text); }

tlvk_status tlvk__context_device(tlvk_context *ctx, tlvk__device **out) {
    *out = tlvk__context_get(ctx, TLVK__SLOT_DEVICE);
    if (*out) return TLVK_OK;
    const tlvk_context_desc *desc = tlvk__context_desc(ctx);
    const char *forced = tlvk__env("TLVK_FORCE_CHOICE");
    tlvk__device_desc d = {
        .choose = desc->device,
        .cache_folder = tlvk__context_cache_folder(ctx),
        .memory_limit = desc->memory_limit,
        .validation = tlvk__env("TLVK_VALIDATION") != NULL,
        .floor = tlvk__env("TLVK_FLOOR") != NULL,
        .forced_choice = forced ? atoi(forced) : 0,
        .log = forward_log,
        .log_user = ctx,
    };
    tlvk_status st = tlvk__device_create(&d, out);
    if (st) return st;
    tlvk__context_put(ctx, TLVK__SLOT_DEVICE, *out, destroy_device);
    const tlvk__caps *caps = tlvk__device_caps(*out);
    tlvk__context_log(ctx, TLVK_LOG_INFO, "device: %s (%s), %s", caps->name, caps->type, caps->driver);
    return TLVK_OK;
}

tlvk_status tlvk_device_use(const tlvk_context *ctx, double *busy_seconds, double *idle_seconds) {
    if (!ctx || !busy_seconds || !idle_seconds) {
        return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_device_use: no context or no place for the seconds"));
    }
    const tlvk__device *device = tlvk__context_get(ctx, TLVK__SLOT_DEVICE);
    *busy_seconds = *idle_seconds = 0;
    if (device) tlvk__device_use(device, busy_seconds, idle_seconds);
    return TLVK_OK;
}

tlvk_status tlvk_devices(const tlvk_context *ctx, tlvk_device_info *infos, size_t capacity, size_t *count) {
    size_t found = 0;
    const char *choose = ctx ? tlvk__context_desc(ctx)->device : NULL;
    tlvk_status st = tlvk__devices_list(choose, infos, capacity, &found);
    if (count) *count = found;
    return tlvk__context_fail(ctx, st);
}
