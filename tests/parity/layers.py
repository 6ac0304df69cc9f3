"""Holds small models of the less common layers against Keras 3 and tf_keras: outputs, gradients, training, and files there and back.

Usage: layers.py DUMP_TRAINING DUMP_MODEL, the programs made of dump_training.c and dump_model.c. The comparisons and their bounds are those of
models.py.
"""
import os
import sys
import tempfile

import models
import nets
import oracle

import keras
import numpy as np
import tf_keras


def branches(K, kinks=True):
    """Groups, transposed convolutions, upsampling, every merging layer (with broadcasting, as squeeze-and-excitation has it), Permute, Concatenate
    along each axis. Without kinks (PReLU, Maximum, Minimum), where the last bit may choose another branch and training go another way."""
    L = K.layers
    picture = L.Input((16, 16, 3))
    a = L.Conv2D(8, 3, padding="same", name="first")(picture)
    a = L.PReLU(shared_axes=[1, 2], name="prelu")(a) if kinks else a
    highest, lowest = (L.Maximum(name="maximum"), L.Minimum(name="minimum")) if kinks else (L.Average(name="mean"), L.Subtract(name="less"))
    b = L.Conv2D(12, 3, strides=2, padding="same", groups=4, use_bias=False, name="grouped")(a)
    b = L.Activation("tanh", name="tanh")(L.BatchNormalization(name="norm")(b))
    up = L.Conv2DTranspose(8, 3, strides=2, padding="same", use_bias=False, name="up")(b)
    up = L.Activation("elu", name="elu")(L.BatchNormalization(name="up_norm")(up))
    wide = L.UpSampling2D(2, interpolation="nearest", name="repeat")(L.Conv2D(8, 1, name="narrow")(b))
    wide = L.Add(name="add")([wide, L.UpSampling2D(2, interpolation="bilinear", name="smooth")(L.Conv2D(8, 1, name="narrow_2")(b))])
    c = L.Subtract(name="subtract")([highest([up, wide]), a])
    c = L.LayerNormalization(name="layer_norm")(L.Average(name="average")([c, up, wide]))
    gate = L.Conv2D(8, 1, activation="sigmoid", name="gate")(L.GlobalAveragePooling2D(keepdims=True, name="squeeze")(c))
    c = L.Multiply(name="excite")([gate, c])
    high, broad = L.Concatenate(axis=1, name="high")([c, a]), L.Concatenate(axis=-2, name="broad")([up, wide])
    low = L.Permute((2, 1, 3), name="turn")(broad)
    d = L.Concatenate(name="channels")([lowest([high, low]), high])
    return K.Model(picture, L.Dense(4, activation="softmax", name="head")(L.GlobalAveragePooling2D(name="pool")(d)))


def inferring_base(K):
    """BatchNormalization in inference mode, trained, behind a convolution in groups and behind a transposed one."""
    L = K.layers
    inner = L.Input((16, 16, 3))
    x = L.Conv2D(12, 3, strides=2, padding="same", groups=3, use_bias=False, name="grouped")(inner)
    x = L.Activation("tanh", name="tanh")(L.BatchNormalization(name="norm")(x))
    x = L.Conv2DTranspose(8, 3, strides=2, padding="same", use_bias=False, name="up")(x)
    x = L.Activation("elu", name="elu")(L.BatchNormalization(name="up_norm")(x))
    picture = L.Input((16, 16, 3))
    x = L.GlobalAveragePooling2D(name="pool")(K.Model(inner, x, name="base")(picture, training=False))
    return K.Model(picture, L.Dense(4, activation="softmax", name="head")(x))


def tasks():
    x, label = nets.pictures(53, (16, 16, 3), 4, seed=5)
    fit = {"batch": 32, "epochs": 2, "optimizer": {"kind": models.SGD, "momentum": 0.9, "learning_rate": 0.01}}
    for K in (keras, tf_keras):
        K.utils.set_random_seed(13)
        kinked, smooth = models.settled(branches(K), x), models.settled(branches(K, kinks=False), x)
        yield models.Task(f"{K.__name__}, all layers", kinked, x, label, **fit, jobs=["predict", "gradients"])
        some = [("*", False), ("up", True), ("prelu", True)]
        yield models.Task(f"{K.__name__}, all layers, prelu and up alone trained", kinked, x, label, trainable=some, **fit, jobs=["gradients"])
        yield models.Task(f"{K.__name__}, all trained", smooth, x, label, **fit)
        yield models.Task(f"{K.__name__}, BatchNormalization frozen", smooth, x, label, trainable=[("*norm", False)], **fit)
    tf_keras.utils.set_random_seed(14)
    yield models.Task("BatchNormalization inferring, trained", models.settled(inferring_base(tf_keras), x), x, label, **fit)


def check_files(program):
    x, _ = nets.pictures(4, (16, 16, 3), 4, seed=6)
    for K, endings in ((keras, ("keras", "h5")), (tf_keras, ("h5",))):
        K.backend.set_floatx("float32")
        K.utils.set_random_seed(15)
        model = branches(K)
        for ending in endings:
            with tempfile.TemporaryDirectory() as folder:
                path, copy = (os.path.join(folder, f"{name}.{ending}") for name in ("model", "copy"))
                model.save(path)
                oracle.run(program, path, f"copy={copy}")
                again = K.models.load_model(copy, compile=False)
                same = np.array_equal(model.predict(x, verbose=0), again.predict(x, verbose=0))
            oracle.check_that(f"{K.__name__}: .{ending} there and back predicts the same", same)


def main():
    for task in tasks():
        models.compare_task(sys.argv[1], task)
    check_files(sys.argv[2])
    oracle.finish()


if __name__ == "__main__":
    main()
