#!/bin/sh
# Mixed precision, for values, without a GPU: mixed.sh [COMMAND...], as root. A Debian 13 (debian.sh) with the lavapipe of its backports, Mesa 26.1,
# which has cooperative matrices of fp16 in software, and the tests in which mixed precision is more than skipped.
set -eu
[ $# -gt 0 ] || set -- './run test -R "^(test_conv|test_mixed|test_vk|test_plan)$"'
TLVK_LANE_NAME=mixed exec "$(dirname "$0")/debian.sh" trixie \
    "echo 'deb http://deb.debian.org/debian trixie-backports main' >/etc/apt/sources.list.d/backports.list && apt-get update -qq &&
     DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -t trixie-backports mesa-vulkan-drivers" "$@"
