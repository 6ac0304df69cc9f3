#!/bin/sh
# demo.sh PROGRAMS FOLDER - the demonstration behind `./run demo`: a network that knows plain figures learns little things it has never seen.
# PROGRAMS is the build's folder of programs; FOLDER, which is emptied first, receives pictures and models.
# It fails unless fine-tuning beats training from scratch by at least 10 points: mean of 3 seeds, equal steps, at least 400 held-out pictures.
set -eu
[ $# -eq 2 ] || { echo "usage: demo.sh PROGRAMS FOLDER" >&2; exit 2; }
tlvk=$1/tlvk pictures=$1/demo/demo_pictures pretrain=$1/demo/demo_pretrain folder=$2
base=$(dirname "$0")/base.h5
train=$folder/train held_out=$folder/held-out
seeds='1 2 3' points=10
steps='--epochs 15 --batch-size 32'
fine_tuning="--no-top $steps --learning-rate 1e-2"
from_scratch="--no-top --freeze none --batch-norm train $steps --learning-rate 3e-3"

began=$(date +%s)
rm -rf "$folder"
mkdir -p "$folder"

# Runs a command silently; what it said appears when it fails.
quietly() {
    if "$@" >"$folder/output.txt" 2>"$folder/messages.txt"; then return 0; fi
    printf 'demo: this failed: %s\n' "$*" >&2
    cat "$folder/output.txt" "$folder/messages.txt" >&2
    exit 1
}

# field NAME: a number of the last JSON line that a command printed.
field() { sed -n "\$s/.*\"$1\": *\([-+.0-9e]*\).*/\1/p" "$folder/output.txt"; }

# measure MODEL SEED OPTION...: trains with the seed, and prints accuracy on the held-out pictures, their number, and the seconds of training.
measure() {
    start=$1 seed=$2 result=$3
    shift 3
    quietly "$tlvk" finetune "$start" --train "$train" "$@" --seed "$seed" --output "$result" --json
    seconds=$(field seconds)
    quietly "$tlvk" evaluate "$result" "$held_out" --json
    echo "$(field accuracy) $(field samples) $seconds"
}

cat <<TEXT
A small network has learnt to tell 26 plain figures apart (star, ring, arrow, ...). Can what it knows help with things it has never seen,
when there are only 16 pictures of each to learn from? Everything below is computed by Vulkan shaders on this device:

TEXT
"$tlvk" devices | sed 's/^/  /'

cat <<TEXT

1. Draw pictures: 16 of each thing to learn from, 60 others of each to be asked about.
     $pictures things 16 101 $train
     $pictures things 60 102 $held_out
TEXT
quietly "$pictures" things 16 101 "$train"
quietly "$pictures" things 60 102 "$held_out"
echo "   $(ls "$train" | tr '\n' ' ')"

cat <<TEXT

2. Fine-tune, three times with different seeds: keep the network as it is, put a new last layer on it, and train that alone.
     $tlvk finetune $base $fine_tuning \\
       --train $train --seed 1 --output $folder/things-1.h5
   For comparison, train the same network from random weights, all of it, with as many steps on the same pictures.

     held-out pictures right:       fine-tuned         from scratch
TEXT
: >"$folder/results.txt"
for seed in $seeds; do
    tuned=$(measure "$base" "$seed" "$folder/things-$seed.h5" $fine_tuning)
    quietly "$pretrain" "$seed" "$folder/random-$seed.h5"
    scratch=$(measure "$folder/random-$seed.h5" "$seed" "$folder/scratch-$seed.h5" $from_scratch)
    echo "$tuned $scratch" >>"$folder/results.txt"
    echo "$tuned $scratch" | awk -v seed="$seed" '{ printf "       seed %d              %7.1f %%  (%4.1f s)  %7.1f %%  (%4.1f s)\n", seed, 100 * $1, $3, 100 * $4, $6 }'
done

status=0
awk -v points="$points" '
    { tuned += 100 * $1; scratch += 100 * $4; samples = $2 }
    END {
        printf "       mean                %7.1f %%            %7.1f %%\n\n", tuned / NR, scratch / NR
        printf "   Fine-tuning is %.1f points ahead, on %d pictures of which none was trained on. Guessing would give 12.5 %%.\n", (tuned - scratch) / NR, samples
        exit !((tuned - scratch) / NR >= points && samples >= 400)
    }' "$folder/results.txt" || status=1
if [ $status -ne 0 ]; then
    echo "demo: at least $points points on at least 400 pictures were expected" >&2
    exit 1
fi

rm "$folder/output.txt" "$folder/messages.txt"

cat <<TEXT

What happened: the network met these things with eyes that were already trained. Edges, corners, round and straight, whatever the colours: that it
had learnt from the figures, and only the last step from there to "cat" or "key" was new. From random weights, 128 pictures are too few to learn
to see, and the network learns them by heart instead. Real photographs and networks trained on millions of them behave the same way.

Next ($(($(date +%s) - began)) s so far):
  look at the pictures        $held_out
  ask the new network         $tlvk predict $folder/things-1.h5 $held_out/cat/0000.png
  see what it is made of      $tlvk summary $folder/things-1.h5
  use your own Keras model and pictures, a folder with a folder for each class:
    $tlvk finetune MODEL.h5 --no-top --train photos/train --validation photos/val --output mine.h5
TEXT
