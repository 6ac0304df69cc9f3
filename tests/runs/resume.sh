#!/usr/bin/env bash
# A training process that is killed (SIGKILL, so nothing can be tidied up) at random moments of both its phases and started again each time gives
# the bytes of the unbroken run: the saved model, and the history but for its seconds.
# resume.sh TLVK HELPER FOLDER: the command, tests/cli/helper, a folder to work in (made anew).
set -uo pipefail
tlvk=$1 helper=$2 work=$3/resume
export TLVK_CACHE_DIR=$work/cache
rm -rf "$work"
mkdir -p "$work"/{train,val}/{across,down}
cd "$work" || exit 1

fail() {
    printf 'FAILED: %s\n' "$*"
    exit 1
}

"$helper" pictures train 13 && "$helper" pictures val 5 && "$helper" model two.h5 2 || fail 'the inputs were not made'
"$tlvk" devices >/dev/null 2>&1
if [[ $? == 3 ]]; then
    echo 'skipped: no Vulkan device'
    exit 77
fi

options=(two.h5 --no-top --train train --validation val --epochs 150 --batch-size 8 --preprocess scale --optimizer rmsprop --momentum 0.5
    --schedule cosine --cache disk --save best --seed 3 --then 'freeze=:2,epochs=150,learning-rate=1e-4')

"$tlvk" finetune "${options[@]}" --output whole.h5 --history whole.csv >out 2>err || { cat err; fail 'the unbroken run'; }

RANDOM=20261121
before_a_checkpoint=0 first_phase=0 second_phase=0
for attempt in 1 2 3 4 5 6 7 8; do
    resume=()
    [[ -e broken.h5.checkpoint ]] && resume=(--resume broken.h5.checkpoint)
    "$tlvk" finetune "${options[@]}" --output broken.h5 --history broken.csv --json "${resume[@]}" >out 2>err </dev/null &
    pid=$!
    # The first is killed somewhere in its start, the others after some more epochs.
    epochs=$((attempt == 1 ? 0 : 1 + RANDOM % 45))
    while kill -0 "$pid" 2>/dev/null && (($(wc -l <out) < epochs)); do sleep 0.01; done
    sleep "0.0$((RANDOM % 90 + 10))"
    kill -KILL "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    status=$?
    ((status == 0)) && break
    ((status == 137)) || { cat err; fail "attempt $attempt ended with status $status"; }
    [[ -e broken.h5 ]] && fail 'a model of a run that was killed'
    if [[ -e broken.h5.checkpoint.2 ]]; then
        second_phase=$((second_phase + 1))
    elif [[ -e broken.h5.checkpoint ]]; then
        first_phase=$((first_phase + 1))
    else
        before_a_checkpoint=$((before_a_checkpoint + 1))
    fi
done
printf 'killed %d times before a checkpoint, %d in the first phase, %d in the second\n' $before_a_checkpoint $first_phase $second_phase
((first_phase + second_phase >= 2)) || fail 'the run was too quick to be killed'

if [[ ! -e broken.h5 ]]; then
    resume=()
    [[ -e broken.h5.checkpoint ]] && resume=(--resume broken.h5.checkpoint)
    "$tlvk" finetune "${options[@]}" --output broken.h5 --history broken.csv "${resume[@]}" >out 2>err || { cat err; fail 'the last run'; }
fi
cmp whole.h5 broken.h5 || fail 'the model has other bytes'
cut -d, -f1-5,7 whole.csv >whole.columns
cut -d, -f1-5,7 broken.csv >broken.columns
diff whole.columns broken.columns >differences || { head -n 6 differences; fail 'the history differs'; }
[[ $(wc -l <whole.csv) == 301 ]] || fail "the history has $(wc -l <whole.csv) lines"
echo 'the same bytes'
