#!/usr/bin/env bash
# commands.sh TLVK DATA WORK DOCUMENT SECTION - runs the commands that docs/tutorials.md shows under the heading "## SECTION...", as they stand there but
# for random weights (official ones would be fetched), one epoch and few steps: on the small data of data.sh, whose folders have the names that
# the document uses. Every model that a command writes opens again.
set -uo pipefail
tlvk=$1 data=$2 work=$3/commands-${5//./_} document=$4 section=$5
export TLVK_CACHE_DIR=$work/cache
rm -rf "$work"
mkdir -p "$work"
cp -R "$data"/. "$work"
cd "$work" || exit 1
commands=0 failures=0

fail() {
    failures=$((failures + 1))
    printf 'FAILED: %s\n' "$*"
}

# The commands of the section, one a line.
shown() {
    awk -v heading="## $section" '
        /^## / { inside = index($0, heading ":") == 1 }
        /^```/ { block = inside && $0 == "```sh"; next }
        block { line = line $0; if (sub(/\\$/, "", line)) next; print line; line = "" }' "$document"
}

networks='vgg16|vgg19|resnet50|inceptionv3|xception|mobilenetv2'
while IFS= read -r command; do
    commands=$((commands + 1))
    run=$(sed -E "s/^(tlvk [a-z]+) ($networks) ?/\1 \2:random /; s/(epochs[ =])[0-9]+/\11/g" <<<"$command")
    case $run in
    "tlvk "*:random*) ;;
    *) fail "not a command of tlvk with a network known here: $command"; continue ;;
    esac
    rm -f ./*.keras ./*.png ./*.csv
    bash -c "tlvk() { \"$tlvk\" \"\$@\"; }; $run" >said 2>messages </dev/null || { fail "$run"; cat messages; continue; }
    test -s said || fail "says nothing: $run"
    read -ra words <<<"$run"
    for ((i = 0; i + 1 < ${#words[@]}; i++)); do
        file=${words[i + 1]}
        case ${words[i]} in
        --output) "$tlvk" summary "$file" >summary 2>&1 || fail "$file does not open: $run" ;;
        --plot | --history) test -s "$file" || fail "no $file: $run" ;;
        esac
    done
    printf 'ok %s\n' "$run"
done < <(shown)

if [[ $section == T3 ]]; then
    # Of the network whose layers were replaced, only the new convolution and the head are trained.
    grep -q 'Trainable params: 5,890 ' summary || fail 'T3.3 trains more, or less, than new_conv and the head'
    # expect STATUS TEXT OPTION: what --replace refuses.
    expect() {
        "$tlvk" finetune vgg16:random --train photos/train --image-size 32x32 --output x.keras --replace "$3" >said 2>messages </dev/null
        local status=$?
        [[ $status == "$1" ]] && grep -qF -- "$2" messages || fail "--replace $3: status $status, $(head -n 1 messages)"
    }
    expect 2 'LAYER=FILE.json' block1_conv1
    expect 2 'LAYER=FILE.json' block1_conv1=new.h5
    expect 2 'LAYER=FILE.json' =none
    expect 4 'nowhere.json' block1_conv1=nowhere.json
    expect 2 'no layer named "block9"' block9=none
    expect 2 'block1_conv2' block1_conv1=none
    printf 'no layers\n' >text.json
    expect 4 '' block1_conv1=text.json
fi

printf '%s: %d commands, %d failures\n' "$section" "$commands" "$failures"
rm -f ./*.keras
exit $((failures > 0 || commands == 0))
