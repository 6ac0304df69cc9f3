#!/usr/bin/env bash
# The contract of the command: every exit status, every refusal, what is on stdout and what on stderr, and that nothing half-written stays.
# commands.sh TLVK HELPER FOLDER [TOPIC]: the command, tests/cli/helper, a folder to work in (made anew), one of the topics at the end.
set -uo pipefail
tlvk=$1 helper=$2 work=$3 topic=${4:-all}
work=$work/$topic
export TLVK_CACHE_DIR=$work/cache
unset TLVK_DEVICE
rm -rf "$work"
mkdir -p "$work"
cd "$work" || exit 1
checks=0 failures=0

fail() {
    failures=$((failures + 1))
    printf 'FAILED: %s\n' "$*"
}

# expect STATUS TEXT COMMAND...: the exit status, and a text that stands in stdout or stderr ('' for none).
expect() {
    local wanted=$1 text=$2 got
    shift 2
    "$@" >out 2>err </dev/null
    got=$?
    checks=$((checks + 1))
    if [[ $got != "$wanted" ]]; then
        fail "status $got where $wanted is wanted: $*"
        head -n 3 err
    elif [[ -n $text ]] && ! grep -qF -- "$text" out err; then
        fail "no '$text' said: $*"
        head -n 3 err
    elif [[ $got != 0 && ! -s err ]]; then
        fail "status $got without a message: $*"
    fi
}

# check WHAT COMMAND...: a condition on what the last command left.
check() {
    local what=$1
    shift
    checks=$((checks + 1))
    "$@" || fail "$what"
}

json() { "$helper" json "$@" <out >values; }
json_but_last() { head -n -1 out | "$helper" json "$@" >values; }
json_last() { tail -n 1 out | "$helper" json "$@" >values; }
same() { cmp -s "$1" "$2"; }
absent() { [[ ! -e $1 ]]; }
empty() { [[ ! -s $1 ]]; }
lines() { [[ $(wc -l <"$1") == "$2" ]]; }

make_inputs() {
    mkdir -p train/across train/down val/across val/down
    "$helper" pictures train 13 && "$helper" pictures val 5 && "$helper" model two.h5 2 && "$helper" model three.h5 3 &&
        "$helper" model fixed.h5 2 flatten || { echo "FAILED: the inputs were not made"; exit 1; }
}

quick=(--epochs 2 --batch-size 8 --preprocess scale)

usage() {
    expect 2 'no command' "$tlvk"
    expect 2 'no such command' "$tlvk" paint
    expect 2 'NAME' "$tlvk" fetch
    expect 2 'no official file' "$tlvk" fetch vgg61
    expect 2 'alpha 0.25' "$tlvk" fetch mobilenet --alpha 0.3
    expect 2 'one width' "$tlvk" fetch vgg16 --size 224
    expect 0 'tlvk 0.' "$tlvk" --version
    expect 0 'Example:' "$tlvk" --help
    check '--help says nothing on stderr' empty err
    local command
    for command in devices summary predict evaluate finetune fetch selftest bench; do
        expect 0 'Example:' "$tlvk" "$command" --help
        check "$command --help says nothing on stderr" empty err
        expect 2 'no such option' "$tlvk" "$command" --paint
    done
    expect 2 'MODEL' "$tlvk" summary
    expect 0 '63,902' "$tlvk" summary mobilenet:random --alpha 0.05
    expect 2 'one width' "$tlvk" summary vgg16:random --alpha 0.5
    expect 2 'PATH' "$tlvk" predict x.h5
    expect 2 'DIR' "$tlvk" evaluate x.h5
    expect 2 'MODEL' "$tlvk" finetune
    expect 2 '--train' "$tlvk" finetune x.h5
    expect 2 'operand' "$tlvk" devices 1
    expect 2 'needs an argument' "$tlvk" finetune x.h5 --train
    expect 2 '--epochs' "$tlvk" finetune x.h5 --train . --epochs 0
    expect 2 '--epochs' "$tlvk" finetune x.h5 --train . --epochs=many
    expect 2 '--learning-rate' "$tlvk" finetune x.h5 --train . --learning-rate -1
    expect 2 '--learning-rate' "$tlvk" finetune x.h5 --train . --learning-rate nan
    expect 2 '--validation-split' "$tlvk" finetune x.h5 --train . --validation-split 1.5
    expect 2 'exclude' "$tlvk" finetune x.h5 --train . --validation . --validation-split 0.2
    expect 2 '--optimizer' "$tlvk" finetune x.h5 --train . --optimizer lion
    expect 2 '--head' "$tlvk" finetune x.h5 --train . --head hat
    expect 2 '--activation' "$tlvk" finetune x.h5 --train . --head mine.json --activation sigmoid
    expect 2 '.png' "$tlvk" finetune x.h5 --train . --plot a.jpg
    expect 2 'not in this version' "$tlvk" finetune x.h5 --train . --report a.html
    expect 2 'not in this version' "$tlvk" finetune x.h5 --train . --log-dir=logs
    expect 2 '--augment' "$tlvk" finetune x.h5 --train . --augment-preview seen
    expect 2 'ending in .keras' "$tlvk" finetune x.h5 --train . --output mine.onnx
    expect 2 '.h5' "$tlvk" finetune x.h5 --train . --output mine.onnx
    expect 2 '--image-size' "$tlvk" predict x.h5 . --image-size 224
    expect 2 '--memory-limit' "$tlvk" finetune x.h5 --train . --memory-limit 3Q
    expect 2 '--then' "$tlvk" finetune x.h5 --train . --then 'epochs=0'
    expect 2 '--then' "$tlvk" finetune x.h5 --train . --then 'colour=red'
    expect 2 'keeps' "$tlvk" finetune x.h5 --train . --head none --no-top
}

files() {
    make_inputs
    expect 4 'no such file' "$tlvk" summary nowhere.h5
    expect 4 'vgg16' "$tlvk" summary resnet9000
    printf 'no model\n' >text.h5
    expect 4 'text.h5' "$tlvk" summary text.h5
    : >nothing.h5
    expect 4 'nothing.h5' "$tlvk" summary nothing.h5
    expect 4 '' "$tlvk" summary train
    head -c 3000 two.h5 >short.h5
    expect 4 'short.h5' "$tlvk" summary short.h5
    expect 4 'nowhere' "$tlvk" predict two.h5 nowhere.png
    expect 4 'nowhere' "$tlvk" finetune two.h5 --train nowhere
    expect 4 'not a folder' "$tlvk" finetune two.h5 --train two.h5
    expect 4 'no such checkpoint' "$tlvk" finetune two.h5 --train train --resume nowhere
    mkdir -p none one/only
    cp train/across/000.bmp one/only/
    expect 4 'none' "$tlvk" finetune two.h5 --no-top --train none "${quick[@]}"
    expect 4 'one' "$tlvk" finetune two.h5 --no-top --train one "${quick[@]}"
    expect 4 'classes' "$tlvk" finetune three.h5 --head none --train train "${quick[@]}"
    expect 4 'classes' "$tlvk" evaluate three.h5 val --preprocess scale
    printf 'a\nb\nc\n' >labels.txt
    expect 4 'class names' "$tlvk" predict two.h5 val --labels labels.txt --preprocess scale
    : >labels.txt
    expect 4 'labels.txt' "$tlvk" predict two.h5 val --labels labels.txt --preprocess scale
    expect 2 '16x16' "$tlvk" predict fixed.h5 val --image-size 32x32 --preprocess scale
    expect 2 'no_such' "$tlvk" finetune two.h5 --cut no_such --train train "${quick[@]}"
    expect 2 'no_such' "$tlvk" finetune two.h5 --no-top --freeze no_such --train train "${quick[@]}"
    expect 1 'folder does not exist' "$tlvk" finetune two.h5 --train train --output nowhere/mine.h5
    expect 1 'is a folder' "$tlvk" finetune two.h5 --train train --history val
    check 'no output after refusals' absent model.keras
    check 'no output after refusals' absent model.h5
}

devices() {
    make_inputs
    expect 0 '' "$tlvk" devices
    expect 0 '' "$tlvk" devices --json
    check 'devices --json has the keys of the contract' json index name type driver api memory_bytes subgroup_size fp16 cooperative_matrix chosen
    expect 3 '' env VK_ICD_FILENAMES=/nowhere.json VK_DRIVER_FILES=/nowhere.json "$tlvk" devices
    expect 3 '' env VK_ICD_FILENAMES=/nowhere.json VK_DRIVER_FILES=/nowhere.json "$tlvk" predict two.h5 val --preprocess scale
    check 'no result without a device' empty out
    expect 3 '' "$tlvk" devices --device no-such-device
    expect 3 '' env TLVK_DEVICE=no-such-device "$tlvk" predict two.h5 val --preprocess scale
    expect 0 '' "$tlvk" selftest --filter Dense --json
    check 'selftest --json has the keys of the contract' json_but_last case max_error bound ok
    check 'selftest --json ends in what was found' json_last verdict cases failed report
    expect 0 'no verdict' "$tlvk" selftest --filter Dense --report dense.txt
    check 'the report tells the device' grep -q '^device: ' dense.txt
    expect 1 'cannot be written' "$tlvk" selftest --filter Dense --report nowhere/dense.txt
    expect 2 'no case' "$tlvk" selftest --filter no-such-case
}

results() {
    make_inputs
    expect 0 'conv_b' "$tlvk" summary two.h5
    expect 0 '' "$tlvk" summary two.h5 --json
    check 'summary --json has the keys of the contract' json total_params trainable_params non_trainable_params layers
    expect 0 'warning' "$tlvk" predict two.h5 val/across/000.bmp
    expect 0 '' "$tlvk" predict two.h5 val/across/000.bmp val --preprocess scale --top 0 --json
    check 'predict --top 0 --json has the keys of the contract' json path scores
    check 'one line for each picture' lines out 11
    expect 0 '' "$tlvk" finetune two.h5 --no-top --train train --validation val --output mine.h5 --history mine.csv --json "${quick[@]}"
    head -n 2 out >epochs && tail -n 1 out >last
    check 'an epoch has the keys of the contract' "$helper" json epoch loss accuracy val_loss val_accuracy seconds learning_rate device_busy_seconds device_idle_seconds <epochs >values
    check 'the last line has the keys of the contract' "$helper" json output epochs seconds best_val_accuracy <last >values
    check 'the history has a line for each epoch' lines mine.csv 3
    check 'the checkpoint goes when the run is done' absent mine.h5.checkpoint
    printf 'across\ndown\n' >wanted
    check 'class names are written' same mine.h5.labels.txt wanted
    expect 0 'across' "$tlvk" predict mine.h5 val/across/000.bmp --json
    check 'what the model remembers needs no warning' empty err
    check 'predict --json has the keys of the contract' json path top
    expect 0 '' "$tlvk" evaluate mine.h5 val --json
    check 'evaluate --json has the keys of the contract' json loss accuracy samples
    expect 0 '' "$tlvk" finetune two.h5 --no-top --head flatten-256 --activation sigmoid --train train --validation-split 0.25 --output sigmoid.h5 "${quick[@]}"
    expect 0 'down' "$tlvk" predict sigmoid.h5 val/down/000.bmp
    expect 0 '' "$tlvk" finetune two.h5 --no-top --train train --validation val --label-smoothing 0.3 --output smooth.h5 --json "${quick[@]}" --epochs 1
    head -n 1 out >epochs
    "$helper" json val_loss <epochs | cut -c1-6 >smoothed
    expect 0 '' "$tlvk" evaluate smooth.h5 val --json
    json loss; cut -c1-6 values >evaluated
    check 'a file is evaluated by the loss it was compiled with' same smoothed evaluated
    local words=flip,rotate:0.1,zoom:0.2,translate:0.1,contrast:0.2,brightness:0.1
    expect 0 '' "$tlvk" finetune two.h5 --no-top --train train --validation val --augment "$words" --augment-preview seen --output augmented.h5 "${quick[@]}"
    check 'the varied pictures can be looked at' test -s seen/00025.png
    expect 0 '' "$tlvk" summary augmented.h5
    check 'they are no part of the model' bash -c '! grep -q random out'
    expect 2 'flap' "$tlvk" finetune two.h5 --no-top --train train --augment flip,flap "${quick[@]}"
    expect 2 'rotate' "$tlvk" finetune two.h5 --no-top --train train --augment rotate "${quick[@]}"
    expect 2 'contrast' "$tlvk" finetune two.h5 --no-top --train train --augment contrast:0.1 --preprocess caffe
    expect 0 '' "$tlvk" finetune two.h5 --no-top --train train --output torch.h5 --epochs 1 --preprocess torch
    expect 0 '' "$tlvk" finetune two.h5 --no-top --train train --output embedded.h5 --epochs 1 --preprocess torch --embed-preprocess
    expect 0 '' "$tlvk" evaluate torch.h5 val --json
    json loss >/dev/null; cut -c1-6 values >plain
    expect 0 '' "$tlvk" evaluate embedded.h5 val --json
    json loss >/dev/null; cut -c1-6 values >embedded
    check 'a preprocessing inside the model gives the same losses' same plain embedded
    expect 0 '' "$tlvk" finetune two.h5 --no-top --train train --output two.keras --epochs 1 --preprocess scale
    expect 0 'across' "$tlvk" predict two.keras val/across/000.bmp
    expect 2 'caffe' "$tlvk" finetune two.h5 --no-top --train train --epochs 1 --preprocess caffe --embed-preprocess
    local dense='{"class_name": "Dense", "config": {"name": "scores", "units": %s, "activation": "%s"}}'
    # shellcheck disable=SC2059
    printf '{"class_name": "Sequential", "config": {"name": "top", "layers": [{"class_name": "Flatten", "config": {"name": "f"}}, '"$dense"']}}' 2 softmax >head.json
    sed 's/"units": 2/"units": 3/' head.json >three.json
    printf 'across\n' >labels.json
    sed 's/"units": 2, "activation": "softmax"/"units": 1, "activation": "sigmoid"/' head.json >one.json
    expect 0 '' "$tlvk" finetune two.h5 --cut conv_b --head head.json --train train --validation val --output json.h5 --plot curves.svg "${quick[@]}"
    check 'the curves are drawn' grep -q '<svg' curves.svg
    expect 0 'head (Sequential)' "$tlvk" summary json.h5
    sed 's/{"class_name": "Flatten"/{"class_name": "Activation", "config": {"name": "a", "activation": "hard_swish"}}, &/' head.json >swish.json
    expect 1 'hard_swish' "$tlvk" finetune two.h5 --cut conv_b --head swish.json --train train --output swish.h5 "${quick[@]}"
    check 'what cannot be saved is told before the training' bash -c '! grep -q Epoch err'
    expect 0 '' "$tlvk" finetune two.h5 --cut conv_b --head swish.json --train train --output swish.keras "${quick[@]}"
    expect 0 '' "$tlvk" finetune two.h5 --cut conv_b --head one.json --train train --output unit.h5 "${quick[@]}"
    expect 4 'three.json has 3 classes' "$tlvk" finetune two.h5 --cut conv_b --head three.json --train train "${quick[@]}"
    expect 4 'nowhere.json' "$tlvk" finetune two.h5 --cut conv_b --head nowhere.json --train train "${quick[@]}"
    expect 4 'JSON' "$tlvk" finetune two.h5 --cut conv_b --head labels.json --train train "${quick[@]}"
    expect 0 '' "$tlvk" finetune two.h5 --no-top --train train --output phases.h5 --history phases.csv "${quick[@]}" --then 'freeze=:3,epochs=1,learning-rate=1e-4'
    check 'phases share one history' lines phases.csv 4
    expect 1 '' bash -c '"$0" predict two.h5 val --preprocess scale >/dev/full' "$tlvk"
}

pictures() {
    make_inputs
    mkdir -p mixed/across mixed/down bad/across bad/down
    cp train/across/*.bmp mixed/across && cp train/down/*.bmp mixed/down
    : >mixed/across/zero.bmp
    head -c 700 train/down/000.bmp >mixed/down/cut.bmp
    printf 'no picture' >bad/across/a.png
    : >bad/down/b.jpg
    expect 0 'zero.bmp' "$tlvk" finetune two.h5 --no-top --train mixed --output mixed.h5 "${quick[@]}"
    expect 4 'zero.bmp' "$tlvk" finetune two.h5 --no-top --train mixed --output strict.h5 --strict "${quick[@]}"
    check 'nothing is left of a strict run that ended' absent strict.h5
    expect 4 '' "$tlvk" finetune two.h5 --no-top --train bad --output bad.h5 "${quick[@]}"
    check 'nothing is left of a run without a picture' absent bad.h5
    expect 0 'zero.bmp' "$tlvk" predict two.h5 mixed --preprocess scale
    check 'pictures that cannot be read have no result' lines out 26
    expect 4 '' "$tlvk" predict two.h5 bad --preprocess scale
    check 'no result without a picture' empty out
    expect 1 '' "$tlvk" predict vgg16:random val --image-size 1000000000x1000000000 --preprocess scale
}

# A disk that gets full during the run, as a limit on the size of files. It is set after the first checkpoint, when the driver has its memory too,
# which newer software drivers take from a file: the next checkpoint cannot be written, the message says so, and only what was whole before stays.
disk() {
    make_inputs
    trap '' XFSZ
    "$tlvk" finetune two.h5 --no-top --head flatten-256 --train train --output full.h5 --epochs 5000 --preprocess scale --json >out 2>err </dev/null &
    local pid=$! status
    for _ in $(seq 600); do
        [[ -s full.h5.checkpoint ]] && break
        sleep 0.1
    done
    prlimit --pid "$pid" --fsize=4096
    wait "$pid"
    status=$?
    check "status $status where 1 is wanted on a full disk" test "$status" = 1
    check 'the message names the file' grep -qF full.h5.checkpoint err
    check 'no half-written model' absent full.h5
    check 'nothing half-written beside it' bash -c '[[ $(compgen -G "full.h5*") == full.h5.checkpoint ]]'
    expect 0 '' "$tlvk" finetune two.h5 --no-top --head flatten-256 --train train --output full.h5 --epochs 1 --preprocess scale --resume full.h5.checkpoint
}

interrupt() {
    make_inputs
    local options=(--no-top --train train --validation val --batch-size 8 --preprocess scale --seed 3 --epochs 400 --cache off) pid status
    set -m
    "$tlvk" finetune two.h5 "${options[@]}" --output broken.h5 >out 2>err </dev/null &
    pid=$!
    for _ in $(seq 300); do
        [[ -e broken.h5.checkpoint ]] && break
        sleep 0.1
    done
    kill -INT "$pid"
    wait "$pid"
    status=$?
    set +m
    check "status $status where 130 is wanted after an interrupt" test "$status" = 130
    check 'a checkpoint is kept' test -s broken.h5.checkpoint
    check 'the message says how to go on' grep -qF -- '--resume broken.h5.checkpoint' err
    check 'no model after an interrupt' absent broken.h5
    expect 0 '' "$tlvk" finetune two.h5 "${options[@]}" --output broken.h5 --resume broken.h5.checkpoint
    expect 0 '' "$tlvk" finetune two.h5 "${options[@]}" --output whole.h5
    expect 0 '' "$tlvk" predict whole.h5 val --top 0
    mv out whole.txt
    expect 0 '' "$tlvk" predict broken.h5 val --top 0
    check 'a resumed run gives what the unbroken one gives' same out whole.txt
    printf 'no checkpoint' >damaged
    expect 4 'is not a checkpoint' "$tlvk" finetune two.h5 "${options[@]}" --output again.h5 --resume damaged
}

# Between all forms, and back to the same bytes; what was in the way of a conversion stays as it was.
convert() {
    make_inputs
    expect 0 '' "$tlvk" convert two.h5 two.keras
    check 'nothing on stdout' empty out
    expect 0 '' "$tlvk" convert two.keras back.h5
    check 'a model there and back is the same file' same two.h5 back.h5
    expect 0 '' "$tlvk" predict two.h5 val --top 0
    mv out two.txt
    expect 0 '' "$tlvk" predict two.keras val --top 0
    check 'both forms predict the same' same out two.txt
    expect 0 '' "$tlvk" convert mobilenet:random net.weights.h5 --image-size 32x32 --no-top
    expect 0 '' "$tlvk" convert mobilenet:net.weights.h5 net.h5 --weights --image-size 32x32 --no-top
    expect 0 '' "$tlvk" convert mobilenet:net.h5 net2.weights.h5 --image-size 32x32 --no-top
    check 'weights there and back are the same file' same net.weights.h5 net2.weights.h5
    expect 4 'NAME:net.weights.h5' "$tlvk" convert net.weights.h5 net3.h5
    expect 2 "has 2 weights, the file's 'layers/conv2d/vars' 1" "$tlvk" convert vgg16:net.weights.h5 net3.h5 --no-top
    expect 2 'OUT ends in' "$tlvk" convert two.h5 two.onnx
    expect 2 'IN and OUT' "$tlvk" convert two.h5
    expect 2 'whole model' "$tlvk" convert two.h5 two.keras --weights
    expect 2 'built-in network' "$tlvk" convert two.h5 two2.h5 --no-top
    expect 4 'no such file' "$tlvk" convert none.h5 two2.h5
    expect 1 'folder' "$tlvk" convert two.h5 none/two2.h5
    cp two.keras kept.keras
    head -c 3000 two.keras >cut.keras
    expect 4 'cut.keras' "$tlvk" convert cut.keras two.keras
    check 'a refused input leaves the output as it was' same two.keras kept.keras
}

# Official weights from a server on loopback that gives one file under every name.
fetch() {
    export KERAS_HOME=$PWD/keras no_proxy=127.0.0.1 TLVK_WEIGHTS_URL=http://127.0.0.1:1
    local place=$KERAS_HOME/models pid
    make_inputs
    expect 0 'storage.googleapis.com' "$tlvk" fetch vgg16 --dry-run --json
    check 'the line has what the contract says' json name address hash
    check 'a dry run makes no folder' absent keras
    expect 1 "put it at $place/vgg16_weights_tf_dim_ordering_tf_kernels.h5" "$tlvk" fetch vgg16
    expect 4 'put it at' "$tlvk" summary vgg16
    "$helper" net net.h5 mobilenet
    "$helper" serve net.h5 >port &
    pid=$!
    for _ in $(seq 100); do
        [[ -s port ]] && break
        sleep 0.05
    done
    TLVK_WEIGHTS_URL=http://127.0.0.1:$(cat port)
    expect 4 'nothing is to be downloaded' "$tlvk" summary mobilenet --no-download
    expect 1 '64373286793e3c8b2b4e3219cbf3544b was published' "$tlvk" fetch vgg16
    check 'a wrong file leaves nothing' absent "$place/vgg16_weights_tf_dim_ordering_tf_kernels.h5.part"
    expect 0 "$place/mobilenet_1_0_224_tf.h5" "$tlvk" fetch mobilenet --json
    check 'the line has what the contract says' json path bytes hash
    check 'progress goes to stderr' grep -qF 'fetching mobilenet:' err
    check 'the file is the one served' same net.h5 "$place/mobilenet_1_0_224_tf.h5"
    rm -r keras
    expect 0 'conv_pw_13' "$tlvk" summary mobilenet
    check 'fetched on the way' same net.h5 "$place/mobilenet_1_0_224_tf.h5"
    expect 0 '"index"' "$tlvk" predict mobilenet val/down/000.bmp --json
    check 'classes without names are said' grep -qF 'classes have no names' err
    kill "$pid"
    wait "$pid" 2>/dev/null
    expect 0 'conv_pw_13' "$tlvk" summary mobilenet
}

# Pictures in archives give what the folder gives.
archives() {
    make_inputs
    "$helper" archive pets.zip train val && "$helper" archive pets.tar.gz train val && mkdir top && mv train val top/ && "$helper" archive top.zip top ||
        { fail 'the archives were not made'; return; }
    local archive
    expect 0 '' "$tlvk" finetune two.h5 --no-top --train top/train --validation top/val "${quick[@]}" --output folder.h5
    expect 0 '' "$tlvk" evaluate folder.h5 top/val --json
    mv out folder.json
    expect 0 '' "$tlvk" predict folder.h5 top/val --top 0
    sed 's,^[^ ]*val/,,' out >folder.txt
    for archive in pets.zip pets.tar.gz; do
        expect 0 '' "$tlvk" finetune two.h5 --no-top --train "$archive//train" --validation "$archive//val" "${quick[@]}" --output packed.h5
        check "a run from $archive is that from the folder" same folder.h5 packed.h5
        expect 0 '' "$tlvk" evaluate folder.h5 "$archive//val" --json
        check "evaluate $archive" same out folder.json
        expect 0 '' "$tlvk" predict folder.h5 "$archive//val" --top 0
        sed 's,^[^ ]*val/,,' out >packed.txt
        check "predict $archive" same packed.txt folder.txt
        expect 0 "$archive//val/down/000.bmp" "$tlvk" predict folder.h5 "$archive//val/down/000.bmp"
    done
    expect 4 'top.zip//top to take them' "$tlvk" finetune two.h5 --no-top --train top.zip "${quick[@]}"
    expect 4 'no such folder in the archive' "$tlvk" finetune two.h5 --no-top --train pets.zip//test "${quick[@]}"
    expect 4 'no such file' "$tlvk" predict folder.h5 nowhere.zip//val
    head -c 2000 pets.zip >cut.zip
    expect 4 'cut.zip' "$tlvk" predict folder.h5 cut.zip//val
    expect 4 'none of' "$tlvk" predict folder.h5 pets.zip//val/none.png
}

case $topic in
all) usage; files; devices; results; pictures; disk; convert; fetch; archives; interrupt ;;
usage | files | devices | results | pictures | disk | convert | fetch | archives | interrupt) $topic ;;
*) echo "no such topic: $topic"; exit 2 ;;
esac
printf '%d checks, %d failed\n' "$checks" "$failures"
exit $((failures > 0))
