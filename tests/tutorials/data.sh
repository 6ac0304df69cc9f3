#!/bin/sh
# data.sh PICTURES CMAKE JSONS FOLDER - small data for the tutorials, in FOLDER, which is made anew: photos/train and photos/test with two classes,
# photos/new without, pets.zip with the folders train and validation, and the layers in JSON files that commands name.
# PICTURES is the program demo_pictures.
set -eu
pictures=$1 cmake=$2 jsons=$3 folder=$4
rm -rf "$folder"
mkdir -p "$folder/drawn" "$folder/photos/new" "$folder/photos/train" "$folder/photos/test" "$folder/pets"
"$pictures" things 3 1 "$folder/drawn/train"
"$pictures" things 2 2 "$folder/drawn/test"
for class in cat key; do
    cp -R "$folder/drawn/train/$class" "$folder/photos/train"
    cp -R "$folder/drawn/test/$class" "$folder/photos/test"
    cp "$folder/drawn/test/$class/0000.png" "$folder/photos/new/$class.png"
done
cp -R "$folder/photos/train" "$folder/pets"
cp -R "$folder/photos/test" "$folder/pets/validation"
(cd "$folder/pets" && "$cmake" -E tar cf ../pets.zip --format=zip train validation)
cp "$jsons"/*.json "$folder"
rm -rf "$folder/drawn" "$folder/pets"
