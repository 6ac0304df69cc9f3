/* layer.c - the layer's door: instances, what they tell of their devices, the making of devices. Hides: the loader's chain and the tables of what is next. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define PLACES 64

static instance instances[PLACES];
static device devices[PLACES];

/* A dispatchable handle begins with the loader's table, which the handles of one instance or device share. */
static void *key_of(const void *handle) { return *(void *const *)handle; }

static instance *instance_of(const void *handle) {
    for (int i = 0; i < PLACES; i++)
        if (instances[i].key == key_of(handle))
            return &instances[i];
    abort();
}

device *device_of(const void *handle) {
    for (int i = 0; i < PLACES; i++)
        if (devices[i].key == key_of(handle))
            return &devices[i];
    abort();
}

/* The second device, which the driver does not know: its handle begins as the first one's does, and calls go on with that. */
static struct { void *key; VkPhysicalDevice first; } second;

static bool is_second(VkPhysicalDevice handle) { return (void *)handle == (void *)&second; }

static VkPhysicalDevice real_of(VkPhysicalDevice handle) { return is_second(handle) ? second.first : handle; }

object *made(device *d, kind k, uint64_t handle, uint64_t owner) {
    lock();
    object *o = add(k, handle, d, owner);
    unlock();
    return o;
}

/* --- instances ---------------------------------------------------------------------------------------------------------------- */

static VKAPI_ATTR VkResult VKAPI_CALL create_instance(const VkInstanceCreateInfo *info, const VkAllocationCallbacks *a, VkInstance *out) {
    read_environment();
    VkLayerInstanceCreateInfo *link = (void *)(uintptr_t)info->pNext;
    while (link && (link->sType != VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO || link->function != VK_LAYER_LINK_INFO))
        link = (void *)(uintptr_t)link->pNext;
    int place = 0;
    while (place < PLACES && instances[place].key)
        place++;
    if (!link || place == PLACES)
        return VK_ERROR_INITIALIZATION_FAILED;
    VkResult result = FAIL(NULL, "vkCreateInstance", BOTH, VK_ERROR_INITIALIZATION_FAILED, VK_ERROR_INCOMPATIBLE_DRIVER);
    if (result != VK_SUCCESS)
        return result;
    if (sim.portability && !(info->flags & VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR))
        breach("an instance that does not ask for devices with a subset of Vulkan");
    instance *in = &instances[place];
    in->next = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    PFN_vkCreateInstance create = (PFN_vkCreateInstance)in->next(VK_NULL_HANDLE, "vkCreateInstance");
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;
    result = create(info, a, out);
    if (result != VK_SUCCESS)
        return result;
    in->key = key_of(*out);
    in->handle = *out;
#define LOAD(call) in->call = (PFN_vk##call)in->next(*out, "vk" #call);
    INSTANCE_CALLS(LOAD)
#undef LOAD
    made(NULL, INSTANCE, ID(*out), 0);
    return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL destroy_instance(VkInstance handle, const VkAllocationCallbacks *a) {
    if (!handle)
        return;
    instance *in = instance_of(handle);
    for (int i = 0; i < PLACES; i++)
        if (devices[i].key && devices[i].of == handle)
            breach("the end of a VkInstance with a VkDevice alive");
    lock();
    drop(INSTANCE, ID(handle));
    unlock();
    in->key = NULL;
    in->DestroyInstance(handle, a);
}

static VKAPI_ATTR VkResult VKAPI_CALL enumerate_physical_devices(VkInstance handle, uint32_t *count, VkPhysicalDevice *out) {
    VkResult result = FAIL(NULL, "vkEnumeratePhysicalDevices", BOTH, VK_ERROR_INITIALIZATION_FAILED);
    const uint32_t room = *count;
    if (result == VK_SUCCESS)
        result = instance_of(handle)->EnumeratePhysicalDevices(handle, count, out);
    if (result != VK_SUCCESS || !sim.second_type || *count == 0 || (out && *count == room))
        return result;
    if (out) {
        second.key = key_of(out[0]);
        second.first = out[0];
        out[*count] = (VkPhysicalDevice)(void *)&second;
    }
    ++*count;
    return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL enumerate_extensions(VkPhysicalDevice handle, const char *layer, uint32_t *count, VkExtensionProperties *out) {
    if (layer && strcmp(layer, SIM_LAYER) == 0)
        return *count = 0, VK_SUCCESS;
    VkResult result = FAIL(NULL, "vkEnumerateDeviceExtensionProperties", BOTH);
    if (result)
        return result;
    static VkExtensionProperties all[512];
    uint32_t found = COUNT(all) - 2, kept = 0;
    lock();
    result = instance_of(handle)->EnumerateDeviceExtensionProperties(real_of(handle), layer, &found, all);
    const char *added[] = {VK_EXT_MEMORY_BUDGET_EXTENSION_NAME, PORTABILITY_SUBSET};
    for (uint32_t i = 0; i < found; i++)
        if (!hides_extension(all[i].extensionName) && !adds_extension(all[i].extensionName))
            all[kept++] = all[i];
    for (int i = 0; i < COUNT(added); i++)
        if (adds_extension(added[i]))
            strcpy(all[kept++].extensionName, added[i]);
    if (out) {
        result = *count < kept ? VK_INCOMPLETE : VK_SUCCESS;
        kept = *count < kept ? *count : kept;
        memcpy(out, all, kept * sizeof *out);
    }
    unlock();
    *count = kept;
    return result;
}

static VKAPI_ATTR void VKAPI_CALL get_properties(VkPhysicalDevice handle, VkPhysicalDeviceProperties *out) {
    instance_of(handle)->GetPhysicalDeviceProperties(real_of(handle), out);
    lie_properties(out, is_second(handle));
}

static VKAPI_ATTR void VKAPI_CALL get_properties2(VkPhysicalDevice handle, VkPhysicalDeviceProperties2 *out) {
    instance_of(handle)->GetPhysicalDeviceProperties2(real_of(handle), out);
    lie_properties(&out->properties, is_second(handle));
    lie_chain(out->pNext);
}

static VKAPI_ATTR void VKAPI_CALL get_features2(VkPhysicalDevice handle, VkPhysicalDeviceFeatures2 *out) {
    instance_of(handle)->GetPhysicalDeviceFeatures2(real_of(handle), out);
    lie_chain(out->pNext);
}

static VKAPI_ATTR void VKAPI_CALL get_format(VkPhysicalDevice handle, VkFormat format, VkFormatProperties *out) {
    instance_of(handle)->GetPhysicalDeviceFormatProperties(real_of(handle), format, out);
    if (sim.no_texel_buffers)
        out->bufferFeatures = 0;
}

static VKAPI_ATTR void VKAPI_CALL get_memory2(VkPhysicalDevice handle, VkPhysicalDeviceMemoryProperties2 *out) {
    instance_of(handle)->GetPhysicalDeviceMemoryProperties2(real_of(handle), out);
    lie_memory(&out->memoryProperties, out->pNext);
}

static VKAPI_ATTR void VKAPI_CALL get_families(VkPhysicalDevice handle, uint32_t *count, VkQueueFamilyProperties *out) {
    instance_of(handle)->GetPhysicalDeviceQueueFamilyProperties(real_of(handle), count, out);
    if (out)
        lie_families(*count, out);
}

/* --- devices ------------------------------------------------------------------------------------------------------------------ */

static void read_told(VkPhysicalDevice handle, told *t) {
    VkPhysicalDeviceMaintenance3Properties more = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &more};
    VkPhysicalDeviceMemoryProperties2 memory = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2};
    get_properties2(handle, &properties);
    get_memory2(handle, &memory);
    *t = (told){properties.properties.limits, memory.memoryProperties, more.maxMemoryAllocationSize};
    /* A driver on the processor has the host's memory whatever its heaps say. */
    for (uint32_t i = 0; properties.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU && i < t->memory.memoryHeapCount; i++)
        t->memory.memoryHeaps[i].size = UINT64_MAX;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_device(VkPhysicalDevice physical, const VkDeviceCreateInfo *info, const VkAllocationCallbacks *a,
                                                    VkDevice *out) {
    VkLayerDeviceCreateInfo *link = (void *)(uintptr_t)info->pNext;
    while (link && (link->sType != VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO || link->function != VK_LAYER_LINK_INFO))
        link = (void *)(uintptr_t)link->pNext;
    int place = 0;
    while (place < PLACES && devices[place].key)
        place++;
    instance *in = instance_of(physical);
    if (!link || place == PLACES)
        return VK_ERROR_INITIALIZATION_FAILED;
    VkResult result = FAIL(NULL, "vkCreateDevice", BOTH, VK_ERROR_INITIALIZATION_FAILED, LOST, VK_ERROR_TOO_MANY_OBJECTS);
    if (result != VK_SUCCESS) /* *out stays: the loader's own words to its end of the chain are in it */
        return result;
    check_device(info);
    device *d = &devices[place];
    memset(d, 0, sizeof *d);
    read_told(physical, &d->told);
    VkPhysicalDeviceMemoryProperties2 has = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2};
    in->GetPhysicalDeviceMemoryProperties2(real_of(physical), &has);
    d->real = has.memoryProperties;
    const char *names[32];
    VkDeviceCreateInfo real = *info;
    real.enabledExtensionCount = 0;
    real.ppEnabledExtensionNames = names;
    for (uint32_t i = 0; i < info->enabledExtensionCount && i < COUNT(names); i++)
        if (!adds_extension(info->ppEnabledExtensionNames[i]))
            names[real.enabledExtensionCount++] = info->ppEnabledExtensionNames[i];
    PFN_vkGetInstanceProcAddr next = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    d->next = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
    PFN_vkCreateDevice create = (PFN_vkCreateDevice)next(in->handle, "vkCreateDevice");
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;
    result = create(real_of(physical), &real, a, out);
    if (result != VK_SUCCESS)
        return result;
    d->handle = *out;
    d->of = in->handle;
    d->hollow = sim.hollow != 0;
    d->key = key_of(*out);
#define LOAD(call) d->call = (PFN_vk##call)d->next(*out, "vk" #call);
    DEVICE_CALLS(LOAD)
#undef LOAD
    made(d, DEVICE, ID(*out), 0);
    return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL destroy_device(VkDevice handle, const VkAllocationCallbacks *a) {
    if (!handle)
        return;
    device *d = device_of(handle);
    lock();
    int alive = alive_of(d);
    char text[256] = "";
    if (alive) {
        name_alive(d, text, sizeof text);
        breach("the end of a VkDevice with %d objects alive: %s", alive, text);
    }
    drop(DEVICE, ID(handle));
    unlock();
    d->key = NULL;
    d->DestroyDevice(handle, a);
}

/* --- the loader's door --------------------------------------------------------------------------------------------------------- */

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_device_proc(VkDevice handle, const char *name) {
    if (strcmp(name, "vkGetDeviceProcAddr") == 0)
        return (PFN_vkVoidFunction)get_device_proc;
    OURS(DestroyDevice, destroy_device)
    PFN_vkVoidFunction ours = find_device_call(name);
    return ours ? ours : device_of(handle)->next(handle, name);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_instance_proc(VkInstance handle, const char *name) {
    OURS(GetInstanceProcAddr, get_instance_proc)
    OURS(GetDeviceProcAddr, get_device_proc)
    OURS(CreateInstance, create_instance)
    OURS(DestroyInstance, destroy_instance)
    OURS(EnumeratePhysicalDevices, enumerate_physical_devices)
    OURS(EnumerateDeviceExtensionProperties, enumerate_extensions)
    OURS(GetPhysicalDeviceProperties, get_properties)
    OURS(GetPhysicalDeviceProperties2, get_properties2)
    OURS(GetPhysicalDeviceFeatures2, get_features2)
    OURS(GetPhysicalDeviceFormatProperties, get_format)
    OURS(GetPhysicalDeviceMemoryProperties2, get_memory2)
    OURS(GetPhysicalDeviceQueueFamilyProperties, get_families)
    OURS(CreateDevice, create_device)
    OURS(DestroyDevice, destroy_device)
    PFN_vkVoidFunction ours = find_device_call(name);
    return ours || !handle ? ours : instance_of(handle)->next(handle, name);
}

EXPORT VKAPI_ATTR VkResult VKAPI_CALL vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *version) {
    if (version->loaderLayerInterfaceVersion < 2)
        return VK_ERROR_INITIALIZATION_FAILED;
    version->loaderLayerInterfaceVersion = 2;
    version->pfnGetInstanceProcAddr = get_instance_proc;
    version->pfnGetDeviceProcAddr = get_device_proc;
    version->pfnGetPhysicalDeviceProcAddr = NULL;
    return VK_SUCCESS;
}
