#!/usr/bin/env bash
# photographs.sh PROGRAMS TLVK CMAKE WORK - tutorials on photographs of ants and bees, where $TLVK_TEST_DATA has them: MobileNetV2 on all of them, InceptionV3
# and the archive's tutorial on a few. Weights are random, so what is learnt is little; the programs must end well and their files open.
set -uo pipefail
programs=$1 tlvk=$2 cmake=$3 work=$4/photographs
photos=${TLVK_TEST_DATA:-}/images/ants_bees
if [[ -z ${TLVK_TEST_DATA:-} || ! -d $photos/train || ! -d $photos/val ]]; then
    echo 'skipped: TLVK_TEST_DATA is not set, or has no images/ants_bees'
    exit 77
fi
export TLVK_CACHE_DIR=$work/cache
rm -rf "$work"
mkdir -p "$work"
cd "$work" || exit 1
failures=0

# The first four pictures of each class.
for part in train val; do
    for class in ants bees; do
        to=few/${part/val/validation}/$class
        mkdir -p "$to"
        for file in $(cd "$photos/$part/$class" && printf '%s\n' *.jpg | head -n 4); do cp "$photos/$part/$class/$file" "$to"; done
    done
done
(cd few && "$cmake" -E tar cf ../ants_bees.zip --format=zip train validation)

# tutorial TRAININGS NAME ARGUMENT...: so many trainings are brought to their end.
tutorial() {
    local wanted=$1 name=$2 status
    shift 2
    "$programs/$name" "$@" >said 2>messages </dev/null
    status=$?
    cat said messages
    if [[ $status != 0 || $(grep -c '^Epoch \([0-9]*\)/\1 ' said) != "$wanted" ]]; then
        failures=$((failures + 1))
        echo "FAILED: $name: status $status"
    fi
}

tutorial 2 family_mobilenet "$photos/train" "$photos/val" random 1 mobilenet.keras
tutorial 1 t1_inception few/train few/validation random 1 t1.keras
tutorial 4 t4_cats_and_dogs ants_bees.zip random 1 .
for file in mobilenet t1 features features-augmented tuned tuned-augmented; do
    "$tlvk" summary "$file.keras" >/dev/null || { failures=$((failures + 1)); echo "FAILED: $file.keras does not open"; }
done
rm -f ./*.keras
exit $((failures > 0))
