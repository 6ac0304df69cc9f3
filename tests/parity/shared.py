"""Holds the training of models that use a layer or a model more than once, nest models, or leave height and width open, against Keras.

Usage: shared.py DUMP_TRAINING. Comparisons and bounds are those of models.py: logits, gradients, and the loss, weights and statistics of five steps.
"""
import sys

import oracle

import keras

import models
import nets
from models import ADAM, SGD, Task

L = keras.layers
STEPS, BATCH = 5, 8


def conv(name, filters=6, **options):
    return L.Conv2D(filters, 3, padding="same", activation="elu", name=name, **options)


def classifier(x):
    return L.Dense(4, activation="softmax", name="classes")(L.GlobalAveragePooling2D(name="pooled")(x))


def layer_twice(shape):
    """One convolution and one BatchNormalization, each called twice: their gradients add up, the statistics move twice a step."""
    twin, norm, picture = conv("twin"), L.BatchNormalization(momentum=0.9, name="norm"), L.Input(shape)
    stem = conv("stem")(picture)
    first = norm(twin(stem))
    second = norm(twin(first))
    return keras.Model(picture, classifier(L.Add(name="sum")([stem, first, second])), name="layer_twice")


def block():
    """Of three channels, as it has to take pictures too when its statistics are set (nets.settle)."""
    x = L.Input((None, None, 3))
    return keras.Model(x, L.BatchNormalization(momentum=0.9, name="block_norm")(conv("block_conv", 3)(x)), name="block")


def model_twice(shape):
    part, picture = block(), L.Input(shape)
    x = L.AveragePooling2D(2, name="half")(part(picture))
    return keras.Model(picture, classifier(conv("stem")(part(x))), name="model_twice")


def nest(shape):
    """A model in a model in a Sequential."""
    picture, part = L.Input((None, None, 3)), block()
    middle = keras.Model(picture, L.GlobalMaxPooling2D(name="largest")(conv("stem")(part(picture))), name="middle")
    return keras.Sequential([L.Input(shape), middle, L.Dense(7, activation="elu", name="hidden"), L.Dense(4, activation="softmax", name="classes")], name="nest")


def tasks():
    x, label = nets.pictures(STEPS * BATCH, (12, 9, 3), 4, seed=21)
    adam, momentum = {"kind": ADAM, "learning_rate": 1e-3}, {"kind": SGD, "learning_rate": 0.02, "momentum": 0.9}
    for number, (name, make) in enumerate((("a layer twice", layer_twice), ("a model twice", model_twice), ("a model in a model in a Sequential", nest))):
        for shape, size in (((12, 9, 3), ""), ((None, None, 3), ", height and width open")):
            keras.utils.set_random_seed(30 + number)
            model = models.settled(make(shape), x)
            yield Task(name + size, model, x, label, batch=BATCH, optimizer=momentum)
        yield Task(name + ", Adam", model, x, label, batch=BATCH, optimizer=adam, jobs=["fit"])
        yield Task(name + ", part of it frozen", model, x, label, batch=BATCH, optimizer=momentum, trainable=[("stem", False), ("*norm", False)])


def main():
    for task in tasks():
        models.compare_task(sys.argv[1], task)
    oracle.finish()


if __name__ == "__main__":
    main()
