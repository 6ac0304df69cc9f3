#!/bin/sh
# SwiftShader, from Debian's chromium-common: another implementation on the processor, with subgroups of 4, 65,536 texels and no fp16.
lane=swiftshader
. "$(dirname "$0")/common.sh"
package chromium-common "$home/driver"
export VK_ICD_FILENAMES="$home/driver/usr/lib/chromium/vk_swiftshader_icd.json"
[ -e "$VK_ICD_FILENAMES" ] || absent "Debian's chromium-common has no SwiftShader any more"
values SwiftShader
finish
