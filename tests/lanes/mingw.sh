#!/bin/sh
# Windows, by MinGW-w64 and wine: the library and the command are built without what Debian has not for Windows (HDF5, and what can be left out anyway), the tests of
# the library's parts run, and where wine finds a Vulkan driver (it wants a display, and Xvfb is one), everything that runs on a device.
lane=mingw programs=
. "$(dirname "$0")/common.sh"
needs cmake ninja x86_64-w64-mingw32-gcc apt-get
[ -e /usr/include/volk.h ] || absent "wants the headers of the set build (./run setup build)"
TLVK_CROSS_PREFIX=$home/prefix
export TLVK_CROSS_PREFIX

# from_source NAME OPTION...: upstream's release of a Debian source package, built into the prefix.
from_source() {
    name=$1
    shift
    if [ -e "$home/$name.made" ]; then return 0; fi
    rm -rf "$home/$name" "$home/$name-build"
    mkdir -p "$home/$name" "$TLVK_CROSS_PREFIX/include"
    { own_apt amd64 update && (cd "$home/$name" && own_apt amd64 source --download-only "$name" && tar --strip-components=1 -xf "$name"_*.orig.tar.[gx]z); } \
        >"$home/$name.log" 2>&1 || absent "the source of $name could not be downloaded: $(tail -n 1 "$home/$name.log")"
    cmake -G Ninja -S "$home/$name" -B "$home/$name-build" -DCMAKE_TOOLCHAIN_FILE="$tree/cmake/mingw.cmake" -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$TLVK_CROSS_PREFIX" \
        -DBUILD_SHARED_LIBS=OFF "$@" >>"$home/$name.log" 2>&1 && cmake --build "$home/$name-build" --target install >>"$home/$name.log" 2>&1 ||
        { broken '' "$name could not be built: $home/$name.log"; finish; }
    touch "$home/$name.made"
}

from_source jansson -DJANSSON_BUILD_SHARED_LIBS=OFF -DJANSSON_BUILD_DOCS=OFF -DJANSSON_WITHOUT_TESTS=ON -DJANSSON_EXAMPLES=OFF
from_source cmocka -DWITH_STATIC_LIB=ON -DWITH_EXAMPLES=OFF -DUNIT_TESTING=OFF
# cmocka makes a DLL all the same; a program finds the archive when there is nothing else.
if [ -e "$TLVK_CROSS_PREFIX/lib/libcmocka-static.a" ]; then
    mv "$TLVK_CROSS_PREFIX/lib/libcmocka-static.a" "$TLVK_CROSS_PREFIX/lib/libcmocka.a"
    rm -f "$TLVK_CROSS_PREFIX/lib/libcmocka.dll.a"
fi
# Headers are the same for every system; the folder of all of the host's would hide Windows's own.
for header in vulkan vk_video stb volk.h volk.c; do ln -sfn "/usr/include/$header" "$TLVK_CROSS_PREFIX/include/$header"; done

export WINEPREFIX="$home/wine" WINEDEBUG=-all WINEDLLOVERRIDES='mscoree=;mshtml='
for icd in /usr/share/vulkan/icd.d/lvp_icd*.json; do
    if [ -e "$icd" ]; then export VK_ICD_FILENAMES="$icd"; fi
done
# A display of our own, whose number Xvfb chooses.
display=
if command -v Xvfb >/dev/null; then
    rm -f "$home/display" # an earlier one would be taken for the answer
    Xvfb -displayfd 3 -screen 0 640x480x16 -nolisten tcp 3>"$home/display" >/dev/null 2>&1 &
    display=$!
    trap 'kill "$display" 2>/dev/null; wineserver -k 2>/dev/null || true' EXIT
    for _ in 1 2 3 4 5 6 7 8 9 10; do [ -s "$home/display" ] || sleep 0.5; done
    DISPLAY=:$(cat "$home/display")
    export DISPLAY
fi

tlvk() { wine "$home/build/bin/tlvk.exe" "$@"; }
lane_statistics() { wine "$home/build/bin/lane_statistics.exe" "$@"; }
test_training() { wine "$home/build/bin/test_training.exe"; }

wine_works() { command -v wine >/dev/null && wine cmd /c exit; }
# What was left out is said by name, and the rest of the command works.
refuses() {
    tlvk convert mobilenet:random "$home/mobilenet.h5" 2>"$home/refused.txt" && return 1
    grep -q 'HDF5.*TLVK_WITH_HDF5' "$home/refused.txt" && tlvk summary mobilenet:random >"$home/summary.txt"
}

cross mingw "Windows x86-64: GCC $(x86_64-w64-mingw32-gcc -dumpfullversion), $(wine --version 2>/dev/null || echo 'no wine')" wine_works
if [ -e "$home/build/bin/tlvk.exe" ] && wine_works; then
    refuses || broken '' "a file of HDF5 is not refused by name: $(tail -n 1 "$home/refused.txt")"
    if shows_device wine; then values 'wine, lavapipe'; fi
fi
finish
