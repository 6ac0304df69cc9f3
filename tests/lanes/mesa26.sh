#!/bin/sh
# Mesa 26.1's lavapipe in a Debian 13, as root: everything again on another generation of the driver, with matrices of fp16 in software, so that mixed
# precision is tested for values, and with validation layers 1.4. With $TLVK_LANE_LEAST only what no other lane has: mixed precision.
lane=mesa26
. "$(dirname "$0")/common.sh"
open_root
began=$(date +%s)
options=${TLVK_LANE_FULL:+--full} tests='test_training|test_conv|test_mixed|test_half|test_choices|test_vk|test_plan'
if [ -n "${TLVK_LANE_LEAST:-}" ]; then options='--filter mixed' tests='test_training|test_mixed'; fi
touch "$root/src/out/devices.txt" "$root/src/out/selftest.jsonl" "$root/src/out/statistics.jsonl"
in_root "/src/kept-build/apps/tlvk devices >/src/out/devices.txt" "/src/kept-build/tests/lane_statistics >/src/out/statistics.jsonl 2>/dev/null" "/src/kept-build/apps/tlvk selftest --json --report /src/out/selftest.txt $options >/src/out/selftest.jsonl; echo \"{\\\"exit\\\": \$?}\" >>/src/out/selftest.jsonl" \
    >"$home/selftest.log" 2>&1 || true
training=FAILED
# Beside whole trainings the tests in which mixed precision is more than skipped.
if in_root "cd /src/kept-build && ctest --no-tests=error --verbose -R '^($tests)$'" >"$home/tests.log" 2>&1 &&
    ! grep -q SKIPPED "$home/tests.log"; then training=passed; fi
lane_py values "$lane" lavapipe "$root/src/out/statistics.jsonl" "$root/src/out/selftest.jsonl" "$root/src/out/devices.txt" "$training" $(($(date +%s) - began)) >>"$results" || wrong=1
finish
