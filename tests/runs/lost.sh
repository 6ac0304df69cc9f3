#!/usr/bin/env bash
# A device that stops answering, or has no memory left, in the middle of `tlvk finetune`: a message, the checkpoint kept, exit status 1, and a run that
# is resumed from that checkpoint ends as one that nothing happened to.
# lost.sh TLVK HELPER FOLDER LAYER_FOLDER: the command, tests/cli/helper, a folder to work in (made anew), where the layer of tests/layer is.
set -uo pipefail
tlvk=$1 helper=$2 work=$3/lost
export TLVK_CACHE_DIR=$work/cache VK_INSTANCE_LAYERS=VK_LAYER_TLVK_simulator VK_LAYER_PATH=$4 NODEVICE_SELECT=1
rm -rf "$work"
mkdir -p "$work"/train/{across,down}
cd "$work" || exit 1

fail() {
    printf 'FAILED: %s\n' "$*"
    exit 1
}

"$helper" pictures train 13 && "$helper" model two.h5 2 || fail 'the inputs were not made'
"$tlvk" devices >/dev/null 2>&1
if [[ $? == 3 ]]; then
    echo 'skipped: no Vulkan device'
    exit 77
fi

options=(two.h5 --no-top --train train --epochs 12 --batch-size 8 --preprocess scale --freeze none --seed 3 --deterministic)
"$tlvk" finetune "${options[@]}" --output whole.h5 >out 2>err || { cat err; fail 'the unbroken run'; }

# broken CALL RESULT WORDS FIRST: the FIRST-th such call fails, or a later one, until one lies behind the first checkpoint.
broken() {
    local call=$1 result=$2 words=$3 number
    for ((number = $4; ; number += 10)); do
        rm -f broken.h5*
        TLVK_SIM="fail_call=$call,fail_at=$number,fail_result=$result" "$tlvk" finetune "${options[@]}" --output broken.h5 >out 2>err </dev/null
        local status=$?
        [[ $status != 0 ]] || fail "$call giving $result: the run ends before number $number, and no checkpoint before any of these"
        [[ $status == 1 ]] || { cat err; fail "$call $number giving $result: exit status $status"; }
        grep -q "$words" err || { cat err; fail "$call $number giving $result: no word of \"$words\""; }
        grep -qi 'breach' err && { cat err; fail "$call $number giving $result"; }
        [[ -e broken.h5 ]] && fail "$call $number giving $result: a model all the same"
        [[ -e broken.h5.checkpoint ]] || continue
        grep -q 'broken.h5.checkpoint' err || { cat err; fail "$call $number giving $result: the checkpoint is not named"; }
        "$tlvk" finetune "${options[@]}" --output broken.h5 --resume broken.h5.checkpoint >out 2>err || { cat err; fail "$call $number giving $result: resuming"; }
        cmp whole.h5 broken.h5 || fail "$call $number giving $result: other bytes behind the checkpoint"
        printf '%s number %d gave %d: ended and resumed\n' "$call" "$number" "$result"
        return
    done
}

broken vkQueueSubmit -4 'stopped answering' 30
broken vkWaitForFences -4 'stopped answering' 35
broken vkQueueSubmit -2 'memory is too small' 40
