/* loader.c - a program with a Vulkan instance of its own around the library's: the two must not share names or state. */
#include <tlvk/tlvk.h>
#include <vulkan/vulkan.h>

#include <stdio.h>

int main(void) {
    const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO};
    VkInstance instance;
    if (vkCreateInstance(&info, NULL, &instance) != VK_SUCCESS) {
        puts("skipped: no Vulkan driver");
        return 0;
    }
    tlvk_device_info infos[8];
    size_t count = 0;
    uint32_t before = 0, after = 0;
    vkEnumeratePhysicalDevices(instance, &before, NULL);
    tlvk_status status = tlvk_devices(NULL, infos, 8, &count);
    vkEnumeratePhysicalDevices(instance, &after, NULL);
    vkDestroyInstance(instance, NULL);
    printf("%s, %zu devices; %u before, %u after\n", tlvk_status_name(status), count, before, after);
    return before == after && (status == TLVK_OK || before == 0) ? 0 : 1;
}
