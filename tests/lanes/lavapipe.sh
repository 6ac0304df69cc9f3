#!/bin/sh
# The system's own lavapipe: values, gradients, whole trainings.
lane=lavapipe
. "$(dirname "$0")/common.sh"
for icd in /usr/share/vulkan/icd.d/lvp_icd*.json; do
    [ -e "$icd" ] || absent "mesa-vulkan-drivers is not installed"
    export VK_ICD_FILENAMES="$icd"
done
values lavapipe ${TLVK_LANE_FULL:+--full}
finish
