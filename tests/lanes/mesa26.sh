#!/bin/sh
# Mesa 26.1's lavapipe in a Debian 13, as root: everything again on another generation of the driver, with matrices of fp16 in software, so that mixed
# precision is tested for values, and with validation layers 1.4.
lane=mesa26
. "$(dirname "$0")/common.sh"
open_root
began=$(date +%s)
in_root "/src/kept-build/apps/tlvk devices >/src/out/devices.txt" "/src/kept-build/apps/tlvk selftest --json ${TLVK_LANE_FULL:+--full} >/src/out/selftest.jsonl; echo \"{\\\"exit\\\": \$?}\" >>/src/out/selftest.jsonl" \
    >"$home/selftest.log" 2>&1 || true
training=FAILED
# Beside whole trainings the tests in which mixed precision is more than skipped.
if in_root "cd /src/kept-build && ctest --output-on-failure -R '^(test_training|test_conv|test_mixed|test_vk|test_plan)$'" >"$home/tests.log" 2>&1; then training=passed; fi
lane_py values "$lane" 'lavapipe 26.1' "$root/src/out/selftest.jsonl" "$root/src/out/devices.txt" "$training" $(($(date +%s) - began)) >>"$results"
