#!/bin/sh
# AMD's cards without one: Mesa's RADV compiles for a "null" device of the family asked for. Fails where a kernel spills or got worse than radv.limits.
# radv.sh --accept writes the limits anew.
lane=radv
. "$(dirname "$0")/common.sh"
icd=/usr/share/vulkan/icd.d/radeon_icd.x86_64.json
[ -e "$icd" ] || absent "mesa-vulkan-drivers has no RADV here"
export NODEVICE_SELECT=1 VK_ICD_FILENAMES="$icd"
limits=$tree/tests/lanes/radv.limits
if [ "${1:-}" = --accept ]; then export TLVK_LANE_ACCEPT=1; fi
# Mesa 22.3 calls the first card of RDNA 3 gfx1100, later ones navi31.
for family in polaris10 vega10 navi21 gfx1100 navi31; do
    export RADV_FORCE_FAMILY="$family"
    if "$build/apps/tlvk" devices >"$home/devices.txt" 2>&1; then compiles "$family" "$limits"; fi
done
[ -s "$results" ] || absent "this RADV has no null device (it was taken out in Mesa 26)"
