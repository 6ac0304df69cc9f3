#!/bin/sh
# AMD's cards without one: Mesa's RADV compiles for a "null" device of the family asked for. Fails where a kernel got worse than radv.limits.
lane=radv
. "$(dirname "$0")/common.sh"
icd=
for icd in /usr/share/vulkan/icd.d/radeon_icd*.json; do :; done
[ -e "$icd" ] || absent "mesa-vulkan-drivers has no RADV here"
export NODEVICE_SELECT=1 VK_ICD_FILENAMES="$icd"
# Mesa 22.3 calls the first card of RDNA 3 gfx1100, later ones navi31; a name that it does not know makes it abort.
rdna3=navi31
if RADV_FORCE_FAMILY=gfx1100 tlvk devices >/dev/null 2>&1; then rdna3=gfx1100; fi
for family in polaris10 vega10 navi21 "$rdna3"; do
    export RADV_FORCE_FAMILY="$family"
    if shows_device "$family"; then compiles "$family" "$tree/tests/lanes/radv.limits"; fi
done
[ -s "$results" ] || absent "this RADV has no null device (it was taken out in Mesa 26)"
finish
