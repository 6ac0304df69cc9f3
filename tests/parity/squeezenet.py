"""Holds a SqueezeNet that is built with the public API, and loaded by order from a published Keras 2.0 weights file, against the same in Keras.

Usage: squeezenet.py DUMP_SQUEEZENET PHOTOS KERAS_FILES. Compared are the features of real pictures; the bound is 1e-4 of the largest feature.
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
SIDE = 224
FILE = "squeezenet_notop_weights.h5"
BGR_MEANS = (103.939, 116.779, 123.68)


def squeezenet(K):
    """As github.com/rcmalli/keras-squeezenet builds version 1.1 without its classifier; names without slashes, which Keras 3 refuses."""
    L = K.layers

    def fire(x, number, squeeze, expand):
        x = L.Conv2D(squeeze, 1, activation="relu", name=f"fire{number}_squeeze1x1")(x)
        left = L.Conv2D(expand, 1, activation="relu", name=f"fire{number}_expand1x1")(x)
        right = L.Conv2D(expand, 3, padding="same", activation="relu", name=f"fire{number}_expand3x3")(x)
        return L.Concatenate(name=f"fire{number}_concat")([left, right])

    picture = L.Input((SIDE, SIDE, 3))
    x = L.Conv2D(64, 3, strides=2, activation="relu", name="conv1")(picture)
    x = L.MaxPooling2D(3, 2, name="pool1")(x)
    x = fire(fire(x, 2, 16, 64), 3, 16, 64)
    x = L.MaxPooling2D(3, 2, name="pool3")(x)
    x = fire(fire(x, 4, 32, 128), 5, 32, 128)
    x = L.MaxPooling2D(3, 2, name="pool5")(x)
    x = fire(fire(x, 6, 48, 192), 7, 48, 192)
    x = fire(fire(x, 8, 64, 256), 9, 64, 256)
    return K.Model(picture, x, name="squeezenet")


def pictures(photos, each=2):
    """The first pictures of every class as the network takes them: BGR, the means of ImageNet taken off."""
    paths = []
    for label in sorted(name for name in os.listdir(photos) if not name.startswith(".")):
        folder = os.path.join(photos, label)
        paths += [os.path.join(folder, name) for name in sorted(name for name in os.listdir(folder) if not name.startswith("."))[:each]]
    rgb = np.stack([np.asarray(Image.open(path).convert("RGB").resize((SIDE, SIDE)), np.float32) for path in paths])
    return rgb[..., ::-1] - np.float32(BGR_MEANS)


def main():
    program, photos, files = (sys.argv[1:] + ["", ""])[:3]
    weights = os.path.join(files, FILE)
    if not os.path.isdir(photos) or not os.path.isfile(weights):
        oracle.skipped(f"{FILE}: TLVK_TEST_DATA is not set, or the file or the pictures are not there")
        oracle.finish()
    x = pictures(photos)
    with tempfile.TemporaryDirectory() as folder:
        given, taken = os.path.join(folder, "pictures"), os.path.join(folder, "features")
        x.tofile(given)
        oracle.run(program, weights, given, taken)
        ours = np.fromfile(taken, np.float32)
    for K in (keras, tf_keras):
        model = squeezenet(K)
        model.load_weights(weights)
        theirs = model.predict(x, verbose=0)
        largest = np.abs(theirs).max()
        oracle.check_that(f"{K.__name__}: pictures are told apart", np.ptp(theirs, axis=0).max() > 0.1 * largest)
        oracle.check(f"{K.__name__}: features of {len(x)} pictures, of the largest", np.abs(ours.reshape(theirs.shape) - theirs).max() / largest, BOUND)
    oracle.finish()


if __name__ == "__main__":
    main()
