#!/bin/sh
# Intel's GPUs without one, from Skylake to Lunar Lake (as root): ANV of Debian 13's Mesa 25.0 on a shim from the same Mesa's source, which answers for the kernel
# and runs nothing.
lane=anv
. "$(dirname "$0")/common.sh"
open_root
shim=/opt/mesa25/libintel_noop_drm_shim.so
if [ ! -e "$root$shim" ]; then
    in_root "echo 'deb-src http://deb.debian.org/debian trixie main' >/etc/apt/sources.list.d/sources.list && apt-get update -qq &&
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends dpkg-dev meson ninja-build pkg-config bison flex python3-mako python3-yaml \
        libdrm-dev libexpat1-dev zlib1g-dev libelf-dev libudev-dev glslang-tools && cd /opt/mesa25 && apt-get source -qq mesa/trixie && cd mesa-25* &&
        meson setup shim -Dvulkan-drivers=intel_hasvk -Dgallium-drivers= -Dplatforms= -Dglx=disabled -Degl=disabled -Dgbm=disabled -Dllvm=disabled \
        -Dtools=drm-shim,intel,nouveau -Dopengl=false -Dgles1=disabled -Dgles2=disabled -Dvideo-codecs= -Dshader-cache=disabled -Dxmlconfig=disabled &&
        nice ninja -C shim src/intel/tools/libintel_noop_drm_shim.so && cp shim/src/intel/tools/libintel_noop_drm_shim.so $shim" \
        >"$home/shim.log" 2>&1 || absent "the shim could not be built: $(tail -n 2 "$home/shim.log" | head -n 1)"
fi
driver=$(icd intel)
mkdir -p "$root/dev/dri"
for platform in skl icl tgl dg2 mtl bmg lnl; do
    compiles_in_root "$platform" "$tree/tests/lanes/anv.limits" \
        "LD_PRELOAD=$shim INTEL_STUB_GPU=1 INTEL_STUB_GPU_PLATFORM=$platform NODEVICE_SELECT=1 VK_ICD_FILENAMES=$driver"
done
finish
