/* choose.c - which device to take. Hides: the ranking, and how a name, an index and the environment override it. */
#include "vk/internal.h"

#include "core/platform.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* A device without memory only compiles (Mesa's drivers without hardware are such); it is taken when asked for, or when it is alone. */
static int rank(const tlvk__physical *p) {
    if (p->memory.memoryTypeCount == 0)
        return -1;
    switch (p->type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return 4;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return 3;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return 2;
    case VK_PHYSICAL_DEVICE_TYPE_CPU: return 1;
    default: return 0;
    }
}

static bool contains_ignoring_case(const char *text, const char *part) {
    size_t length = strlen(part);
    for (; *text; text++) {
        size_t i = 0;
        while (i < length && tolower((unsigned char)text[i]) == tolower((unsigned char)part[i]))
            i++;
        if (i == length)
            return true;
    }
    return length == 0;
}

static bool is_number(const char *s) {
    if (!*s || strlen(s) > 6)
        return false;
    for (; *s; s++)
        if (!isdigit((unsigned char)*s))
            return false;
    return true;
}

/* Why the device cannot be used; NULL when it can. */
static const char *unusable(const tlvk__physical *p) {
    if (p->caps.api_version < VK_API_VERSION_1_1)
        return "not usable: it has no Vulkan 1.1";
    if (p->queue_family < 0)
        return "not usable: no queue of it computes";
    if (p->unread == VK_ERROR_OUT_OF_HOST_MEMORY || p->unread == VK_ERROR_OUT_OF_DEVICE_MEMORY)
        return "not usable: the list of its extensions could not be read, for want of memory";
    if (p->unread)
        return "not usable: its driver does not give the list of its extensions";
    return NULL;
}

static void fill_info(const tlvk__physical *p, tlvk_device_info *info) {
    const tlvk__caps *c = &p->caps;
    *info = (tlvk_device_info){.memory_bytes = c->memory_bytes, .subgroup_size = c->subgroup_size,
                               .fp16 = c->fp16_storage && c->fp16_arithmetic, .cooperative_matrix = c->cooperative_matrix, .mixed_precision = c->matrix_m > 0 || tlvk__texel_operands(c),
                               .matrix_units = c->matrix_m > 0,
                               .max_binding_bytes = c->max_binding_bytes, .max_allocation_bytes = c->max_allocation_bytes};
    snprintf(info->name, sizeof info->name, "%s", c->name);
    snprintf(info->type, sizeof info->type, "%s", c->type);
    snprintf(info->driver, sizeof info->driver, "%s", c->driver);
    snprintf(info->api, sizeof info->api, "%s", c->api);
}

/* The index of the device that `asked` (NULL: none) and the ranking give; -1 when none fits. */
static int pick(const tlvk__physical *devices, int count, const char *asked) {
    int best = -1;
    for (int i = 0; i < count; i++) {
        if (unusable(&devices[i]))
            continue;
        if (asked && (is_number(asked) ? atoi(asked) != i : !contains_ignoring_case(devices[i].caps.name, asked)))
            continue;
        if (best < 0 || rank(&devices[i]) > rank(&devices[best]))
            best = i;
    }
    return best;
}

/* A kind of device as people call it. */
static const char *kind(const tlvk__physical *p) {
    static const char *const words[] = {"a device of unknown kind", "the processor itself", "a graphics card of a virtual machine", "graphics built into the processor",
                                        "a graphics card"};
    return rank(p) < 0 ? "a driver without its card" : words[rank(p)];
}

/* What a user should know of a device that was chosen because there is no better one; "" for a GPU. */
static const char *caution(const tlvk__physical *p) {
    if (p->memory.memoryTypeCount == 0)
        return "; it is a driver without its card, for which shaders compile and on which nothing runs";
    if (p->type == VK_PHYSICAL_DEVICE_TYPE_CPU)
        return "; it is the processor itself, and slow: a graphics card is listed here once its Vulkan driver is installed";
    return "";
}

/* "chosen: a graphics card, the first of 2, taken before graphics built into the processor". */
static void write_choice(const tlvk__physical *devices, int count, int chosen, char *reason, size_t size) {
    int same = 0, next = -1;
    for (int i = 0; i < count; i++) {
        if (unusable(&devices[i]))
            continue;
        same += rank(&devices[i]) == rank(&devices[chosen]);
        if (rank(&devices[i]) < rank(&devices[chosen]) && (next < 0 || rank(&devices[i]) > rank(&devices[next])))
            next = i;
    }
    char first[48] = "";
    if (same > 1)
        snprintf(first, sizeof first, ", the first of %d", same);
    if (count == 1)
        snprintf(reason, size, "chosen: the only device%s", caution(&devices[chosen]));
    else
        snprintf(reason, size, "chosen: %s%s%s%s%s", kind(&devices[chosen]), first, next >= 0 ? ", taken before " : "", next >= 0 ? kind(&devices[next]) : "",
                 caution(&devices[chosen]));
}

static void write_reasons(const tlvk__physical *devices, int count, const char *asked, const char *from, int chosen,
                          tlvk_device_info *infos) {
    for (int i = 0; i < count; i++) {
        fill_info(&devices[i], &infos[i]);
        const char *why_not = unusable(&devices[i]);
        infos[i].usable = !why_not;
        infos[i].chosen = i == chosen;
        char *reason = infos[i].reason;
        size_t size = sizeof infos[i].reason;
        if (why_not)
            snprintf(reason, size, "%s", why_not);
        else if (i == chosen && asked)
            snprintf(reason, size, "chosen: %s asks for \"%.100s\"", from, asked);
        else if (i == chosen)
            write_choice(devices, count, i, reason, size);
        else if (asked)
            snprintf(reason, size, "not chosen: %s asks for \"%.100s\"", from, asked);
        else if (chosen >= 0 && rank(&devices[i]) == rank(&devices[chosen]))
            snprintf(reason, size, "not chosen: as good as device %d, which comes first", chosen);
        else
            snprintf(reason, size, "not chosen: %s, taken after %s", kind(&devices[i]), chosen >= 0 ? kind(&devices[chosen]) : "others");
    }
}

tlvk_status tlvk__choose(const tlvk__instance *instance, const char *choose, bool floor, tlvk__physical *devices, int *count,
                         tlvk_device_info *infos, int *chosen) {
    VkPhysicalDevice handles[TLVK__MAX_DEVICES];
    uint32_t found = TLVK__MAX_DEVICES;
    *count = 0;
    *chosen = -1;
    VkResult result = instance->EnumeratePhysicalDevices(instance->handle, &found, handles);
    if (result != VK_SUCCESS && result != VK_INCOMPLETE)
        return tlvk__fail(TLVK_ERROR_NO_DEVICE, "no Vulkan device: asking the loader for its devices: %s (VkResult %d)", tlvk__result_name(result),
                          (int)result);
    if (found == 0)
        return tlvk__fail(TLVK_ERROR_NO_DEVICE, "no Vulkan device: the loader works, but no driver offers a device; "
                                                "on Debian, mesa-vulkan-drivers has one that runs on the processor");
    for (uint32_t i = 0; i < found; i++)
        tlvk__physical_read(instance, handles[i], floor, &devices[i]);
    *count = (int)found;
    const char *environment = tlvk__env("TLVK_DEVICE");
    const char *asked = choose && *choose ? choose : environment && *environment ? environment : NULL;
    const char *from = choose && *choose ? "the program" : "TLVK_DEVICE";
    *chosen = pick(devices, *count, asked);
    if (infos)
        write_reasons(devices, *count, asked, from, *chosen, infos);
    if (*chosen >= 0)
        return TLVK_OK;
    if (asked)
        return tlvk__fail(TLVK_ERROR_NO_DEVICE,
                          "%s asks for Vulkan device \"%s\", but of %d device%s (the first is \"%s\") none usable has that index or name",
                          from, asked, *count, *count == 1 ? "" : "s", devices[0].caps.name);
    return tlvk__fail(TLVK_ERROR_NO_DEVICE, "no usable Vulkan device: \"%s\" is %s", devices[0].caps.name, unusable(&devices[0]));
}

tlvk_status tlvk__devices_list(const char *choose, tlvk_device_info *infos, size_t capacity, size_t *count) {
    *count = 0;
    tlvk__instance instance;
    tlvk_status status = tlvk__instance_open(&instance, false);
    if (status != TLVK_OK)
        return status;
    tlvk__physical *devices = tlvk__calloc(TLVK__MAX_DEVICES, sizeof *devices);
    tlvk_device_info *all = tlvk__calloc(TLVK__MAX_DEVICES, sizeof *all);
    int found = 0, chosen = -1;
    if (devices && all)
        status = tlvk__choose(&instance, choose, false, devices, &found, all, &chosen);
    else
        status = tlvk__fail(TLVK_ERROR_MEMORY, "listing devices: no memory");
    if (found > 0)
        status = TLVK_OK; /* a list in which none is chosen is a good answer too */
    for (size_t i = 0; status == TLVK_OK && i < (size_t)found && i < capacity; i++)
        infos[i] = all[i];
    *count = (size_t)found;
    free(devices);
    free(all);
    tlvk__instance_close(&instance);
    return status;
}
