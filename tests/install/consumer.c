/* consumer.c - lists the devices through the installed library; no device is an answer too. */
#include <tlvk/tlvk.h>

#include <stdio.h>

int main(void) {
    tlvk_device_info infos[8];
    size_t count = 0;
    tlvk_status status = tlvk_devices(NULL, infos, 8, &count);
    printf("tlvk %s: %s, %zu devices\n", tlvk_version(), tlvk_status_name(status), count);
    return status == TLVK_OK || status == TLVK_ERROR_NO_DEVICE ? 0 : 1;
}
