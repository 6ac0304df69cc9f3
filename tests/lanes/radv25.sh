#!/bin/sh
# AMD's newer cards without one, by the RADV of Debian 13's Mesa 25.0 (as root): also the kernels of mixed precision where the card has matrix units.
lane=radv25
. "$(dirname "$0")/common.sh"
open_root
driver=$(icd radeon)
for family in polaris10 navi31 gfx1201; do
    compiles_in_root "$family-25" "$tree/tests/lanes/radv.limits" "RADV_FORCE_FAMILY=$family NODEVICE_SELECT=1 VK_ICD_FILENAMES=$driver"
done
compiles_in_root navi31-25-mixed "$tree/tests/lanes/radv.limits" "RADV_FORCE_FAMILY=navi31 NODEVICE_SELECT=1 VK_ICD_FILENAMES=$driver" --mixed
finish
