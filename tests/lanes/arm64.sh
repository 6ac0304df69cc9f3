#!/bin/sh
# 64-bit ARM by qemu's emulation of one process: everything is built by a cross compiler against Debian's arm64 packages, the tests of the library's parts run
# without a device, and on the packages' lavapipe the self-test's convolutions. Whole trainings take too long.
lane=arm64 programs=
. "$(dirname "$0")/common.sh"
needs cmake ninja aarch64-linux-gnu-gcc qemu-aarch64-static apt-get dpkg-deb
TLVK_CROSS_PREFIX=$home/root
export TLVK_CROSS_PREFIX
if [ ! -e "$home/root.made" ]; then
    rm -rf "$TLVK_CROSS_PREFIX"
    mkdir -p "$TLVK_CROSS_PREFIX/usr/bin" "$TLVK_CROSS_PREFIX/usr/sbin" "$TLVK_CROSS_PREFIX/usr/lib"
    for folder in bin sbin lib; do ln -s "usr/$folder" "$TLVK_CROSS_PREFIX/$folder"; done
    { own_apt arm64 update && own_apt arm64 install --download-only --no-install-recommends libc6-dev libgcc-s1 linux-libc-dev libhdf5-dev libjansson-dev \
        libarchive-dev libcairo2-dev libjpeg-dev libcurl4-openssl-dev libcmocka-dev libstb-dev libvulkan-dev libvulkan-volk-dev libvulkan1 mesa-vulkan-drivers; } \
        >"$home/root.log" 2>&1 || absent "the arm64 packages could not be downloaded: $(tail -n 1 "$home/root.log")"
    for file in "$home"/apt/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$file" | tar -x --keep-directory-symlink -C "$TLVK_CROSS_PREFIX"
    done
    rm -f "$home"/apt/archives/*.deb
    # What points to the root of a system points into this folder: a linker takes libm.a where libm.so leads nowhere.
    find "$TLVK_CROSS_PREFIX" -type l -lname '/*' | while read -r link; do ln -sfn "$TLVK_CROSS_PREFIX$(readlink "$link")" "$link"; done
    touch "$home/root.made"
fi

emulated() { qemu-aarch64-static -L "$TLVK_CROSS_PREFIX" "$@"; }
tlvk() { emulated "$home/build/apps/tlvk" "$@"; }
lane_statistics() { emulated "$home/build/tests/lane_statistics" "$@"; }

# One holds a reader's memory against limits, and it is qemu's here; the other builds a program by the host's compiler.
without='^(test_fuzz|installed)$'
VK_ICD_FILENAMES=/no/driver
export VK_ICD_FILENAMES
cross aarch64 "Linux aarch64: GCC $(aarch64-linux-gnu-gcc -dumpfullversion), $(qemu-aarch64-static --version | head -n 1 | cut -d ' ' -f 1-3)" tlvk --version
VK_ICD_FILENAMES=/usr/share/vulkan/icd.d/lvp_icd.aarch64.json
if [ -x "$home/build/apps/tlvk" ] && shows_device qemu; then no_training=1 values 'qemu, lavapipe' --filter Conv2D; fi
finish
