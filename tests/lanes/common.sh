# common.sh - what the lanes share; sourced by each, which has set $lane to its name. A lane prepares its driver in $home, outside the tree, runs what it can,
# and leaves one line of JSON per device in $results, which lane.py's table reads. What it downloaded stays for the next time. A lane ends by `finish`.
set -eu
tree=$(cd "$(dirname "$0")/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tlvk-lanes
home=$cache/$lane
results=$cache/results/$lane.jsonl
build=${TLVK_LANE_BUILD:-$tree/build/${TLVK_PRESET:-release}}
for program in ${programs-apps/tlvk tests/lane_statistics tests/test_training}; do
    [ -x "$build/$program" ] || { echo "lanes: $build/$program is not there; './run lanes $lane' builds it" >&2; exit 1; }
done
mkdir -p "$home" "$cache/results"
: >"$results"
unset VK_DRIVER_FILES VK_ADD_DRIVER_FILES VK_LOADER_DRIVERS_SELECT VK_INSTANCE_LAYERS TLVK_DEVICE TLVK_CACHE_DIR TLVK_FORCE_CHOICE
TLVK_LANE_COMMIT=$(git -C "$tree" rev-parse --short HEAD 2>/dev/null || echo '?')
export TLVK_LANE_COMMIT
wrong=0
# Kernels of one lane are not another's: each compiles its own.
XDG_CACHE_HOME=$home/cache
export XDG_CACHE_HOME

# The programs that a lane runs; one for another system has its own.
tlvk() { "$build/apps/tlvk" "$@"; }
lane_statistics() { "$build/tests/lane_statistics" "$@"; }
test_training() { "$build/tests/test_training"; }

debian=$(. /etc/os-release 2>/dev/null && echo "${VERSION_CODENAME:-bookworm}")

lane_py() { python3 "$tree/tests/lanes/lane.py" "$@"; }

say() { printf 'lanes: %s: %s\n' "$lane" "$*" >&2; }

# absent WHY: the driver could not be had. That is said in the table; it is no pass.
absent() {
    say "not run: $*"
    lane_py absent "$lane" "$*" >>"$results"
    exit 0
}

# broken DEVICE WHY: a failure before anything could be compared.
broken() { lane_py broken "$lane" "$1" "$2" >>"$results" || wrong=1; }

finish() { exit "$wrong"; }

# package NAME FOLDER: the files of a Debian package, unpacked into FOLDER, without installing it.
package() {
    if [ -e "$2/unpacked" ]; then return 0; fi
    command -v apt-get >/dev/null && command -v dpkg >/dev/null || absent "needs apt-get and dpkg to fetch $1"
    rm -rf "$2"
    mkdir -p "$2"
    (cd "$2" && { apt-get download "$1" || { apt-get update && apt-get download "$1"; }; } >"$2/download.log" 2>&1) || absent "the package $1 could not be downloaded"
    dpkg -x "$2"/*.deb "$2"
    rm -f "$2"/*.deb
    touch "$2/unpacked"
}

# own_apt ARCHITECTURE COMMAND...: apt-get for Debian's packages of that architecture and their sources, with lists and downloads of its own in $home/apt; the
# system's are left alone.
own_apt() {
    architecture=$1
    shift
    if [ ! -e "$home/apt/sources.list" ]; then
        rm -rf "$home/apt"
        mkdir -p "$home/apt/lists/partial" "$home/apt/archives/partial" "$home/apt/none"
        : >"$home/apt/status"
        for kind in deb deb-src; do
            echo "$kind [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $debian main"
        done >"$home/apt/sources.list"
    fi
    apt-get -q --yes -o "APT::Architecture=$architecture" -o "APT::Architectures::=$architecture" -o "Dir::State=$home/apt" -o "Dir::State::status=$home/apt/status" \
        -o "Dir::Cache=$home/apt" -o "Dir::Etc::sourcelist=$home/apt/sources.list" -o "Dir::Etc::sourceparts=$home/apt/none" -o APT::Sandbox::User= "$@"
}

# needs COMMAND...: programs without which the lane cannot be run.
needs() {
    for program in "$@"; do command -v "$program" >/dev/null || absent "wants $program"; done
}

# cross PRESET WHAT COMMAND...: builds everything for another system, runs by the emulator that the preset names the tests of the library's parts, and leaves the
# line of the second table. COMMAND tells whether the emulator works here. Tests may be skipped that stand in skips.txt. $TLVK_CROSS_PREFIX is made.
cross() {
    preset=$1 what=$2
    shift 2
    export TLVK_CROSS_PREFIX
    began=$(date +%s)
    built='without a warning' tests='' log=$home/tests.log
    : >"$log"
    grep -qsxF "CMAKE_HOME_DIRECTORY:INTERNAL=$tree" "$home/build/CMakeCache.txt" || rm -rf "$home/build" # of another copy of this tree
    if ! { cmake --preset "$preset" -S "$tree" -B "$home/build" && cmake --build "$home/build" --parallel 2 --target all lane_statistics; } >"$home/build.log" 2>&1; then
        built="FAILED: $(grep -m 1 -E '[Ee]rror|undefined|FAILED' "$home/build.log" || tail -n 1 "$home/build.log")"
    elif "$@" >"$home/emulator.log" 2>&1; then
        (cd "$home/build" && ctest --no-tests=error --verbose --label-regex unit --exclude-regex "${without:-^$}") >"$log" 2>&1 || true
    else
        tests="not run: $1 does not work here"
    fi
    lane_py cross "$lane" "$what" "$built" "$tests" "$log" "$tree/tests/lanes/skips.txt" $(($(date +%s) - began)) >>"$results" || wrong=1
}

# shows_device WHAT: whether the driver of the environment shows a device; ends the lane where it does anything else than say that there is none.
shows_device() {
    status=0
    tlvk devices >"$home/devices.txt" 2>&1 || status=$?
    case $status in
    0) return 0 ;;
    3) return 1 ;;
    esac
    broken "$1" "tlvk devices ended with status $status: $(tail -n 1 "$home/devices.txt")"
    finish
}

# values DEVICE [OPTION...]: every pipeline of the networks, the self-test and, unless $no_training is set, the test of whole trainings on the driver of the
# environment, and the line of the table.
values() {
    device=$1
    shift
    began=$(date +%s)
    shows_device "$device" || absent "the driver shows no usable device: $(tail -n 1 "$home/devices.txt")"
    lane_statistics >"$home/statistics.jsonl" 2>"$home/statistics.log" || true
    status=0
    tlvk selftest --json --report "$home/selftest.txt" "$@" >"$home/selftest.jsonl" 2>"$home/selftest.log" || status=$?
    echo "{\"exit\": $status}" >>"$home/selftest.jsonl"
    training=FAILED
    if [ -n "${no_training:-}" ]; then
        training=
    elif TLVK_TEST_TEMP=$home test_training >"$home/training.log" 2>&1 && ! grep -q SKIPPED "$home/training.log"; then training=passed; fi
    lane_py values "$lane" "$device" "$home/statistics.jsonl" "$home/selftest.jsonl" "$home/devices.txt" "$training" $(($(date +%s) - began)) >>"$results" || wrong=1
}

# compiles DEVICE LIMITS: every pipeline of the networks and operations, compiled by the driver of the environment, against the limits kept in the tree, and the
# line of the table.
compiles() {
    began=$(date +%s)
    status=0
    lane_statistics >"$home/$1.jsonl" 2>"$home/$1.log" || status=$?
    lane_py statistics "$lane" "$1" "$home/$1.jsonl" "$home/$1.log" "$2" "$status" $(($(date +%s) - began)) >>"$results" || wrong=1
}

# --- a Debian 13 with Mesa 26.1, and Mesa 25.0 beside it -----------------------------------------------------------------------------------------

root=$cache/trixie-mesa
# in_root COMMAND...: in that system, made by debian.sh when it is not there, kept for the next time; each command in a shell of its own.
in_root() { XDG_CACHE_HOME=${cache%/tlvk-lanes} TLVK_LANE_KEEP=1 TLVK_LANE_NAME=trixie-mesa sh "$tree/tests/lanes/debian.sh" trixie "$@"; }

# open_root: the system with the drivers, and the last commit of this tree built in /src/kept-build; what is unchanged is not built again.
open_root() {
    [ "$(id -u)" = 0 ] || absent "wants to be root, for debootstrap and chroot"
    [ "$(uname -m)" = x86_64 ] || absent "its packages are those of x86-64"
    command -v debootstrap >/dev/null || absent "wants debootstrap"
    if [ ! -e "$root/opt/mesa25/driver/usr" ]; then
        in_root "echo 'deb http://deb.debian.org/debian trixie-backports main' >/etc/apt/sources.list.d/backports.list && apt-get update -qq &&
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -t trixie-backports mesa-vulkan-drivers &&
            mkdir -p /opt/mesa25 && cd /opt/mesa25 && apt-get download -t trixie mesa-vulkan-drivers && dpkg -x mesa-vulkan-drivers_25*.deb driver" \
            >"$home/root.log" 2>&1 || absent "Debian 13 with its backports could not be made: $(tail -n 1 "$home/root.log")"
    fi
    if [ ! -d "$root/src/kept/.git" ]; then git clone -q "$tree" "$root/src/kept"; fi
    git -C "$root/src/kept" fetch -q "$tree" HEAD
    git -C "$root/src/kept" checkout -qf FETCH_HEAD
    rm -rf "$root/src/out"
    mkdir -p "$root/src/out"
    in_root "cd /src/kept && ./run setup build test" >"$home/setup.log" 2>&1 || absent "the packages could not be installed in Debian 13: $home/setup.log"
    in_root "cmake -G Ninja -S /src/kept -B /src/kept-build -DCMAKE_BUILD_TYPE=Release &&
        cmake --build /src/kept-build --target tlvk_command lane_statistics test_training test_conv test_mixed test_half test_choices test_vk test_plan" \
        >"$home/build.log" 2>&1 || { broken '' "the build in Debian 13 failed: $home/build.log"; finish; }
}

# icd NAME: Mesa 25.0's driver of that name for the loader in the system, and its path there.
icd() {
    printf '{"ICD": {"api_version": "1.3.0", "library_path": "/opt/mesa25/driver/usr/lib/x86_64-linux-gnu/libvulkan_%s.so"}, "file_format_version": "1.0.0"}\n' "$1" \
        >"$root/opt/mesa25/$1.json"
    echo "/opt/mesa25/$1.json"
}

# compiles_in_root DEVICE LIMITS ENVIRONMENT [OPTION...]: as compiles, in that system.
compiles_in_root() {
    device=$1 limits=$2 environment=$3
    shift 3
    began=$(date +%s)
    status=0
    touch "$root/src/out/$device.jsonl" "$root/src/out/$device.log"
    in_root "env $environment /src/kept-build/tests/lane_statistics $* >/src/out/$device.jsonl 2>/src/out/$device.log" >"$home/in-root.log" 2>&1 || status=$?
    lane_py statistics "$lane" "$device" "$root/src/out/$device.jsonl" "$root/src/out/$device.log" "$limits" "$status" $(($(date +%s) - began)) >>"$results" || wrong=1
}
