#!/usr/bin/env bash
# programs.sh PROGRAMS TLVK DATA WORK NAME - runs the tutorial NAME on the small data of data.sh, with random weights: it ends well, its models open
# again, what it draws is there, and the loss falls in the trainings where that is to be expected of six pictures.
set -uo pipefail
programs=$1 tlvk=$2 data=$3 work=$4/$5 name=$5
export TLVK_CACHE_DIR=$work/cache
rm -rf "$work"
mkdir -p "$work"
cd "$work" || exit 1
train=$data/photos/train test=$data/photos/test
checks=0 failures=0

check() {
    local what=$1
    shift
    checks=$((checks + 1))
    "$@" >/dev/null 2>&1 || { failures=$((failures + 1)); printf 'FAILED: %s: %s\n' "$name" "$what"; }
}

# What the program says goes to the file `said`.
tutorial() {
    "$programs/$name" "$@" >said 2>messages </dev/null
    local status=$?
    cat said messages
    check "exit status $status" test "$status" = 0
}

opens() { check "$1 opens again" "$tlvk" summary "$1"; }
there() { check "$1 is there" test -s "$1"; }
says() { check "'$1' is said" grep -qF -- "$1" said; }

# falls N: in the N-th training the last epoch's loss is below the first's.
falls() {
    check "the loss of training $1 falls" awk -v wanted="$1" '
        /^Epoch / { split($2, at, "/"); for (i = 1; i < NF; i++) if ($i == "loss:") loss = $(i + 1)
                    if (at[1] == 1) { training++; first = loss } if (training == wanted && at[1] == at[2] && at[1] > 1) { last = loss; found = 1; exit } }
        END { exit !(found && last < first) }' said
}

# trainings N: so many were begun, and brought to their end.
trainings() { check "$1 trainings" test "$(grep -c '^Epoch 1/' said) $(grep -c '^Epoch \([0-9]*\)/\1 ' said)" = "$1 $1"; }

refuses() {
    "$programs/$name" >/dev/null 2>messages
    check 'no arguments: status 2' test $? = 2
    check 'no arguments: says which' grep -q '^usage: ' messages
    "$programs/$name" "$@" >/dev/null 2>messages
    check 'a folder that is not there: status 1' test $? = 1
    check 'a folder that is not there: says so' grep -q 'nowhere' messages
}

case $name in
t0_pretrained)
    tutorial "$data/photos/new" "$train" random 2 t0.keras
    for network in vgg16 resnet50 inceptionv3; do says "$network: $data/photos/new/cat.png: "; done
    trainings 1; falls 1; opens t0.keras
    refuses nowhere nowhere random 1 x.keras ;;
t1_inception)
    tutorial "$train" "$test" random 3 t1.keras
    says 'val_accuracy: '; trainings 1; falls 1; opens t1.keras
    refuses nowhere nowhere random 1 x.keras ;;
t2_vgg16)
    tutorial "$train" "$test" random 2 t2.keras
    says 'Flatten: loss '; says 'GlobalAveragePooling2D: loss '; trainings 3; falls 2; opens t2.keras
    refuses nowhere nowhere random 1 x.keras ;;
t3_vgg_layers)
    tutorial "$train" "$test" random 2 cut.keras spliced.keras
    says 'Total params: 138,357,544 '; says 'Total params: 14,714,688 '; says 'Total params: 143,667,240 '; says 'new_conv (Conv2D)'
    trainings 2; falls 2; opens cut.keras; opens spliced.keras
    "$tlvk" summary spliced.keras >said
    says 'Trainable params: 5,890 ' # new_conv: 5*5*3*64 + 64; the classifier: 512*2 + 2
    refuses nowhere nowhere random 1 x.keras y.keras ;;
t4_cats_and_dogs)
    tutorial "$data/pets.zip" random 2 .
    trainings 4; falls 1; falls 3
    for result in features features-augmented tuned tuned-augmented; do
        says "$result: val_accuracy "
        there "$result.png"; opens "$result.keras"
    done
    refuses nowhere.zip random 1 . ;;
family_*)
    tutorial "$train" "$test" random 2 out.keras
    trainings 2; opens out.keras
    [[ $name != family_mobilenet ]] || falls 2
    refuses nowhere nowhere random 1 x.keras ;;
*) echo "no such tutorial: $name"; exit 1 ;;
esac

printf '%s: %d checks, %d failed\n' "$name" "$checks" "$failures"
rm -f ./*.keras ./*.labels.txt
exit $((failures > 0))
