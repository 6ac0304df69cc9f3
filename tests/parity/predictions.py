"""Holds the command `tlvk` against Keras on real pictures: predictions of files of others, and of what it saves after a little fine-tuning.

Usage: predictions.py TLVK PHOTOS KERAS_FILES. PHOTOS holds train/ and val/ with a folder for each class. The pictures are first written as PNG of
the model's own size, so that neither JPEG decoders nor resizing come into it. Scores are probabilities; the bound is 1e-4.
"""
import os
import sys
import tempfile

import oracle

import keras
import numpy as np
import tf_keras
from PIL import Image

BOUND = 1e-4
FILES = {"teachable_machine_a.h5": ((224, 224), "RGB"), "fer2013_mini_xception.hdf5": ((64, 64), "L")}
FINETUNE = {
    "teachable_machine_a.h5": ["--cut", "out_relu", "--head", "gap", "--then", "freeze=:100,epochs=1,learning-rate=1e-5"],
    "fer2013_mini_xception.hdf5": ["--cut", "add_4", "--head", "gap-128", "--freeze", "none", "--batch-norm", "train"],
}


def make_pictures(source, folder, size, mode, each=None):
    """Writes the first `each` pictures of every class, all by default, as PNG below `folder`; their paths."""
    paths = []
    for label in sorted(name for name in os.listdir(source) if not name.startswith(".")):
        os.makedirs(os.path.join(folder, label))
        for name in sorted(name for name in os.listdir(os.path.join(source, label)) if not name.startswith("."))[:each]:
            paths.append(os.path.join(folder, label, os.path.splitext(name)[0] + ".png"))
            Image.open(os.path.join(source, label, name)).convert(mode).resize(size).save(paths[-1])
    return paths


def pixels(paths):
    """As --preprocess tf makes them."""
    arrays = [np.asarray(Image.open(path), np.float32) for path in paths]
    return np.stack([a[..., None] if a.ndim == 2 else a for a in arrays]) / np.float32(127.5) - 1


def our_scores(program, model, paths, *options):
    """In the order of `paths`; the command walks folders in its own."""
    folder = os.path.dirname(os.path.dirname(paths[0]))
    said = oracle.lines(oracle.run(program, "predict", "--json", "--top", "0", *options, model, folder))
    scores = {line["path"]: line["scores"] for line in said if "scores" in line}
    oracle.check_that(f"{os.path.basename(model)}: every picture has its scores", set(scores) == set(paths), f"{len(scores)} of {len(paths)}")
    return np.array([scores[path] for path in paths])


def compare_scores(name, ours, theirs):
    oracle.check_that(f"{name}: pictures are told apart", np.ptp(theirs, axis=0).max() > 0.05)
    oracle.check(f"{name}: scores of {len(theirs)} pictures", np.abs(ours - theirs).max(), BOUND)


def compare_file(program, photos, folder, file, path):
    size, mode = FILES[file]
    paths = make_pictures(os.path.join(photos, "val"), os.path.join(folder, "val"), size, mode)
    x = pixels(paths)
    theirs = tf_keras.models.load_model(path, compile=False).predict(x, verbose=0)
    compare_scores(f"{file} in tf_keras", our_scores(program, path, paths, "--preprocess", "tf"), theirs)

    make_pictures(os.path.join(photos, "train"), os.path.join(folder, "train"), size, mode, each=16)
    mine = os.path.join(folder, "mine.h5")
    oracle.run(program, "finetune", path, "--train", os.path.join(folder, "train"), "--preprocess", "tf", "--epochs", "2", "--batch-size", "12",
               "--output", mine, *FINETUNE[file])
    ours = our_scores(program, mine, paths)
    for K in (keras, tf_keras):
        opened = K.models.load_model(mine, compile=False)
        compare_scores(f"{file}, fine-tuned and saved, in {K.__name__}", ours, opened.predict(x, verbose=0))


def main():
    program, photos, files = (sys.argv[1:] + ["", ""])[:3]
    for file in FILES:
        path = os.path.join(files, file)
        if not os.path.isdir(photos) or not os.path.isfile(path):
            oracle.skipped(f"{file}: TLVK_TEST_DATA is not set, or the file or the pictures are not there")
            continue
        with tempfile.TemporaryDirectory() as folder:
            os.environ["TLVK_CACHE_DIR"] = os.path.join(folder, "cache")
            compare_file(program, photos, folder, file, path)
    oracle.finish()


if __name__ == "__main__":
    main()
