#!/bin/sh
# Runs the README's commands on a bare Debian: debian.sh SUITE [COMMAND...], as root. The system is made by debootstrap in
# ${XDG_CACHE_HOME:-~/.cache}/tlvk-lanes/SUITE, afresh each time; a clean clone of this tree's last commit goes into it.
# TLVK_LANE_KEEP=1 keeps the system afterwards, and uses one that is there: it shows how long the commands take with the packages installed.
# TLVK_LANE_NAME names the folder otherwise.
set -eu
suite=${1:?which Debian: bookworm or trixie}
shift
tree=$(cd "$(dirname "$0")/../.." && pwd)
root=${XDG_CACHE_HOME:-$HOME/.cache}/tlvk-lanes/${TLVK_LANE_NAME:-$suite}
[ "$(id -u)" = 0 ] || { echo "debian.sh: wants to be root, for debootstrap and chroot" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "debian.sh: apt-get install debootstrap" >&2; exit 1; }

nodes='null zero full random urandom tty'
mounted() { grep -q " $root/$1 " /proc/mounts; }

finish() {
    for place in proc $(printf 'dev/%s ' $nodes); do
        if mounted "$place"; then umount "$root/$place"; fi
    done
    # Never while something of the running system is still mounted inside.
    if [ -z "${TLVK_LANE_KEEP:-}" ] && ! grep -q " $root/" /proc/mounts; then rm -rf "$root"; fi
}
trap finish EXIT
trap 'exit 130' INT TERM

if [ ! -e "$root/etc/debian_version" ] || [ -z "${TLVK_LANE_KEEP:-}" ]; then
    finish
    rm -rf "$root"
    mkdir -p "$root"
    debootstrap --variant=minbase "$suite" "$root" ${TLVK_LANE_MIRROR:-}
fi
cp /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
mkdir -p "$root/src"
rm -rf "$root/src/tlvk"
git clone --quiet "$tree" "$root/src/tlvk"
mounted proc || mount -t proc proc "$root/proc"
# debootstrap makes device nodes where it may; elsewhere the running system's are lent one by one.
for node in $nodes; do
    if [ ! -c "$root/dev/$node" ] && [ -c "/dev/$node" ]; then
        rm -f "$root/dev/$node"
        touch "$root/dev/$node"
        mount --bind "/dev/$node" "$root/dev/$node"
    fi
done

# All commands run, also after one that failed, so that one lane shows everything there is to see.
[ $# -gt 0 ] || set -- './run demo' './run test'
status=0
for command in "$@"; do
    began=$(date +%s)
    echo "=== $suite: $command"
    if chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb ${http_proxy:+http_proxy="$http_proxy"} \
        ${https_proxy:+https_proxy="$https_proxy"} sh -c "cd /src/tlvk && $command" </dev/null; then
        result=passed
    else
        result=FAILED status=1
    fi
    echo "=== $suite: $command: $result in $(($(date +%s) - began)) s"
done
exit $status
