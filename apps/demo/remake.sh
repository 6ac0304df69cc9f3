#!/bin/sh
# remake.sh PROGRAMS FOLDER - draws the plain figures into FOLDER, trains the demo's network on them, and puts it into apps/demo/base.h5.
set -eu
[ $# -eq 2 ] || { echo "usage: remake.sh PROGRAMS FOLDER" >&2; exit 2; }
pictures=$1/demo/demo_pictures pretrain=$1/demo/demo_pretrain folder=$2

rm -rf "$folder"
mkdir -p "$folder"
echo "Drawing 400 pictures of each of 26 figures, and 20 others of each to measure on."
"$pictures" figures 400 1 "$folder/train"
"$pictures" figures 20 2 "$folder/held-out"
"$pretrain" 1 "$folder/train" "$folder/held-out" 10 "$folder/base.h5"
mv "$folder/base.h5" "$(dirname "$0")/base.h5"
ls -l "$(dirname "$0")/base.h5"
