/* instance.c - opening the Vulkan loader and an instance on it.
 * Hides: volk's one-time loading, instance layers and extensions, the validation layer's messages. */
#include "vk/internal.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* volkInitialize writes process-wide pointers, so it runs once: 0 not yet, 1 running, 2 found, 3 no loader. */
static bool loader_found(void) {
    static atomic_int state;
    int expected = 0;
    if (atomic_compare_exchange_strong(&state, &expected, 1))
        atomic_store(&state, volkInitialize() == VK_SUCCESS && vkCreateInstance ? 2 : 3);
    while (atomic_load(&state) == 1)
        continue;
    return atomic_load(&state) == 2;
}

static VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity, VkDebugUtilsMessageTypeFlagsEXT types,
                                                 const VkDebugUtilsMessengerCallbackDataEXT *data, void *user) {
    tlvk__instance *instance = user;
    (void)severity;
    (void)types;
    instance->messages++;
    size_t used = strlen(instance->text);
    /* Older layers say the message's name in its text too, newer ones (1.4.309) here alone. */
    snprintf(instance->text + used, sizeof instance->text - used, "%s: %s\n", data->pMessageIdName ? data->pMessageIdName : "",
             data->pMessage ? data->pMessage : "");
    return VK_FALSE;
}

static bool has_layer(const char *name) {
    VkLayerProperties layers[64];
    uint32_t count = (uint32_t)TLVK__COUNT(layers);
    VkResult result = vkEnumerateInstanceLayerProperties(&count, layers);
    if (result != VK_SUCCESS && result != VK_INCOMPLETE)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(layers[i].layerName, name) == 0)
            return true;
    return false;
}

static bool has_instance_extension(const char *name) {
    VkExtensionProperties extensions[128];
    uint32_t count = (uint32_t)TLVK__COUNT(extensions);
    VkResult result = vkEnumerateInstanceExtensionProperties(NULL, &count, extensions);
    if (result != VK_SUCCESS && result != VK_INCOMPLETE)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(extensions[i].extensionName, name) == 0)
            return true;
    return false;
}

static void load_functions(tlvk__instance *in) {
#define LOAD(name) in->name = (PFN_vk##name)vkGetInstanceProcAddr(in->handle, "vk" #name)
    LOAD(DestroyInstance);
    LOAD(EnumeratePhysicalDevices);
    LOAD(EnumerateDeviceExtensionProperties);
    LOAD(GetPhysicalDeviceProperties);
    LOAD(GetPhysicalDeviceProperties2);
    LOAD(GetPhysicalDeviceFeatures2);
    LOAD(GetPhysicalDeviceFormatProperties);
    LOAD(GetPhysicalDeviceMemoryProperties2);
    LOAD(GetPhysicalDeviceQueueFamilyProperties);
    LOAD(CreateDevice);
    LOAD(GetDeviceProcAddr);
    LOAD(CreateDebugUtilsMessengerEXT);
    LOAD(DestroyDebugUtilsMessengerEXT);
    LOAD(GetPhysicalDeviceCooperativeMatrixPropertiesKHR);
#undef LOAD
    /* volkLoadDeviceTable reads this process-wide pointer. The loader's function serves every instance, so it is written once. */
    static atomic_flag lock = ATOMIC_FLAG_INIT;
    while (atomic_flag_test_and_set(&lock))
        continue;
    if (!vkGetDeviceProcAddr)
        vkGetDeviceProcAddr = in->GetDeviceProcAddr;
    atomic_flag_clear(&lock);
}

tlvk_status tlvk__instance_open(tlvk__instance *instance, bool validation) {
    static const char *const layer = "VK_LAYER_KHRONOS_validation";
    memset(instance, 0, sizeof *instance);
    if (!loader_found())
        return tlvk__fail(TLVK_ERROR_NO_DEVICE,
                          "no Vulkan: the loader (libvulkan.so.1) is not installed; on Debian: apt-get install libvulkan1");
    uint32_t version = volkGetInstanceVersion();
    if (version < VK_API_VERSION_1_1)
        return tlvk__fail(TLVK_ERROR_NO_DEVICE, "no Vulkan 1.1: the loader offers %u.%u", VK_API_VERSION_MAJOR(version),
                          VK_API_VERSION_MINOR(version));
    instance->validation = validation && has_layer(layer);

    const char *extensions[2];
    uint32_t extension_count = 0;
    VkInstanceCreateFlags flags = 0;
    if (instance->validation)
        extensions[extension_count++] = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
    if (has_instance_extension(VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME)) { /* MoltenVK is listed only then */
        extensions[extension_count++] = VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME;
        flags |= VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR;
    }
    VkDebugUtilsMessengerCreateInfoEXT messenger = {
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
        .pfnUserCallback = on_message,
        .pUserData = instance};
    const VkValidationFeatureEnableEXT enable = VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT;
    const VkValidationFeaturesEXT features = {.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT, .pNext = &messenger,
                                              .enabledValidationFeatureCount = 1, .pEnabledValidationFeatures = &enable};
    const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .pEngineName = "tlvk",
                                           .apiVersion = VK_API_VERSION_1_1};
    const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                       .pNext = instance->validation ? &features : NULL,
                                       .flags = flags,
                                       .pApplicationInfo = &application,
                                       .enabledLayerCount = instance->validation ? 1 : 0,
                                       .ppEnabledLayerNames = &layer,
                                       .enabledExtensionCount = extension_count,
                                       .ppEnabledExtensionNames = extensions};
    VkResult result = vkCreateInstance(&info, NULL, &instance->handle);
    if (result != VK_SUCCESS) {
        instance->handle = VK_NULL_HANDLE;
        return tlvk__fail(TLVK_ERROR_NO_DEVICE, "no Vulkan: the loader found no driver that works: %s (VkResult %d)", tlvk__result_name(result),
                          (int)result);
    }
    load_functions(instance);
    if (instance->validation && instance->CreateDebugUtilsMessengerEXT)
        instance->CreateDebugUtilsMessengerEXT(instance->handle, &messenger, NULL, &instance->messenger);
    return TLVK_OK;
}

void tlvk__instance_close(tlvk__instance *instance) {
    if (!instance->handle)
        return;
    if (instance->messenger)
        instance->DestroyDebugUtilsMessengerEXT(instance->handle, instance->messenger, NULL);
    instance->DestroyInstance(instance->handle, NULL);
    instance->handle = VK_NULL_HANDLE;
}
