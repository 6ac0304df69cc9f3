"""Trains one network of every family for 20 steps, in the library and in Keras, with Adam, momentum, RMSprop and AdamW, BatchNormalization trained and
frozen, and a weight decay of its own in some layers; holds the loss of every step and all weights at the end against Keras in float64.

Usage: curves.py DUMP_TRAINING DUMP_NETWORK FOLDER [FAMILY...]
DUMP_TRAINING and DUMP_NETWORK are the programs of those names; FOLDER receives the pipelines that the driver compiled.

Training is chaotic: what rounding does in the first step grows from step to step. How fast is measured in Keras in float64, by a random change of 1e-6 of
all weights and pictures at the start. Keras in float32 shows what rounding makes of what cancels, as gradients that are zero in exact arithmetic, which
Adam makes as long as the others. The bound is, as in models.py, 4 times what the change, or float32, does to the same step's loss and the same weights.
The share of a tensor's way that they err by is no less for one tensor than for most: a single change may hardly touch it by chance.
"""
import os
import sys
import tempfile

import models
import networks
import nets
import oracle
from kinks import keep_away
from models import ADAM, ADAMW, RMSPROP, SGD, Task
from nets import inner, pictures

import keras
import numpy as np
import tensorflow as tf

# How small the network of each family is made: at 32x32 and of full width if nothing else stands here.
SIZES = {"inceptionv3": (75, {}), "xception": (71, {}), "mobilenet": (32, {"alpha": 0.25}), "mobilenetv2": (32, {"alpha": 0.35})}
STEPS, BATCH, BATCHES, CLASSES = 20, 4, 2, 4
# The share of the loss that the first step would take off if the loss were linear, from which learning rates follow: training that runs away shows nothing.
# An optimizer's first step is its rate times the gradient, or times its sign and `stretch`.
OPTIMIZERS = {
    "Adam": ({"kind": ADAM}, 0.02, 1.0), "momentum": ({"kind": SGD, "momentum": 0.9}, 0.005, None), "RMSprop": ({"kind": RMSPROP}, 0.02, 10**0.5),
    "AdamW": ({"kind": ADAMW, "weight_decay": 0.01}, 0.02, 1.0),
}
# Which optimizers a family takes, with BatchNormalization trained and frozen: each one in its turn, and all of them where it costs little.
TURNS = [("Adam", False), ("momentum", True), ("RMSprop", False), ("Adam", True), ("momentum", False), ("RMSprop", True)]
EVERY = {"mobilenet": [*TURNS, ("AdamW", False)]}
# Its 20 steps in float64 take Keras longer than those of all others together; its gradients are compared in networks.py.
ON_REQUEST = {"nasnet"}


def build(net, size, given):
    """The network without its classifier and dropout, a head with weight decay on it, and another weight decay in every third convolution."""
    base = networks.build(net, include_top=False, input_shape=(size, size, 3), pooling="avg", **given)
    networks.without_dropout(base)
    for layer in [layer for layer in inner(base) if type(layer).__name__ == "Conv2D"][::3]:
        layer.kernel_regularizer = keras.regularizers.L2(1e-4)
    head = keras.layers.Dense(CLASSES, activation="softmax", kernel_regularizer=keras.regularizers.L2(1e-2), name="head")
    return keras.Model(base.input, head(base.output), name=net)


def tasks(family, number):
    net, (size, given) = networks.FAMILIES[family][0], SIZES.get(family, (32, {}))
    keras.utils.set_random_seed(20 + number)
    model = build(net, size, given)
    settling = networks.some_pictures(model, 16, 1)
    networks.settle(model)
    keep_away(model, settling, 2)
    x, label = pictures(BATCH * BATCHES, (size, size, 3), CLASSES, 3)
    x = networks.in_range(model, x)
    y = label.astype(np.float32)
    norms = [(layer.name, False) for layer in networks.norms_of(model)]
    for name, frozen in EVERY.get(family, [TURNS[number % len(TURNS)]]):
        if frozen and not norms:
            trainable, title = [(layer.name, False) for layer in model.layers[: len(model.layers) // 3]], "a third frozen"
        else:
            trainable, title = (norms, "BatchNormalization frozen") if frozen else ([], "all trained")
        optimizer = {**OPTIMIZERS[name][0], "learning_rate": rate(model, trainable, x[:BATCH], y[:BATCH], *OPTIMIZERS[name][1:])}
        yield Task(f"{net}, {name}, {title}", model, x, y, batch=BATCH, epochs=STEPS // BATCHES, optimizer=optimizer, trainable=trainable, jobs=["fit"])


def rate(model, trainable, x, y, share, stretch):
    """A power of two."""
    for name, flag in trainable:
        model.get_layer(name).trainable = flag
    statistics = [(v, v.numpy()) for layer in networks.norms_of(model) for v in (layer.moving_mean, layer.moving_variance)]
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, model(x, training=True)))
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    for v, old in statistics:
        v.assign(old)
    for name, _ in trainable:
        model.get_layer(name).trainable = True
    slope = sum(float(tf.reduce_sum(tf.abs(g) * stretch if stretch else g * g)) for g in gradients)
    return 2.0 ** round(np.log2(share * float(loss) / slope))


def compare(program, task, folder):
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        found = models.ours(program, task, scratch)
    own = models.Truth(task, "float32").run()
    truth = models.Truth(task)
    true, changed = truth.run(), truth.run(np.random.default_rng(9))
    keras.backend.set_floatx("float32")
    start = dict(zip((key for key in true if key.startswith("w:")), truth.start))
    norms = [layer for layer in networks.norms_of(truth.model) if layer.trainable]
    trained = {id(v) for v in truth.model.trainable_variables} | {id(v) for layer in norms for v in layer.weights}
    fixed = [f"w:{i}" for i, v in enumerate(nets.variables(truth.model)) if id(v) not in trained]
    compare_losses(task.name, found["losses"], true["losses"], [changed["losses"], own["losses"]])
    compare_weights(task.name, found, true, start, fixed, [changed, own])


def compare_losses(name, found, true, others):
    moved = np.ptp(true[1::BATCHES]) / np.abs(true).max()
    unit = max(np.abs(other - true).max() for other in others) + models.ROUNDING / models.FACTOR * np.abs(true).max()
    error = np.abs(found - true).max()
    oracle.check(f"{name}: {len(true)} losses", error / unit, models.FACTOR, f"sensitivities ({error / np.abs(true).max():.2g} of the loss)")
    oracle.check_that(f"{name}: the loss goes on its way far beyond the bound", moved * np.abs(true).max() > 10 * models.FACTOR * unit,
                      f"by {moved:.2g} of its size, the bound is {models.FACTOR * unit / np.abs(true).max():.2g}")


def compare_weights(name, found, true, start, fixed, others):
    changed = [key for key in fixed if not np.array_equal(found[key], start[key])]
    oracle.check_that(f"{name}: {len(fixed)} of {len(start)} tensors stay", not changed, changed[:4])
    way = {key: np.abs(true[key] - start[key]).max() for key in start if key not in fixed}
    units = {key: max(np.abs(other[key] - true[key]).max() for other in others) for key in way}
    least = np.median([units[key] / way[key] for key in way if way[key]])
    shares = {}
    for key in way:
        unit = max(units[key], least * way[key]) + models.ROUNDING / models.FACTOR * np.abs(true[key]).max()
        shares[key] = np.abs(found[key] - true[key]).max() / unit
    worst = max(shares, key=shares.get)
    oracle.check(f"{name}: weights", shares[worst], models.FACTOR, f"sensitivities ({len(way)} tensors, worst {worst}; the median's is {least:.2g} of its way)")


def main():
    program, lister, folder, chosen = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
    os.makedirs(folder, exist_ok=True)
    os.environ.setdefault("TLVK_CACHE_DIR", os.path.join(folder, "cache"))
    networks.quick_grouped_convolutions()
    names = oracle.run(lister).split()
    families = [family for family, (net, *_) in networks.FAMILIES.items() if net in names]
    missing = [net for net in names if networks.family_of(net) not in families]
    oracle.check_that("every network has a family whose curve is compared", not missing, missing)
    for number, family in enumerate(families):
        if family in chosen or not chosen and family not in ON_REQUEST:
            for task in tasks(family, number):
                compare(program, task, folder)
    oracle.finish()


if __name__ == "__main__":
    main()
