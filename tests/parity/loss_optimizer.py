"""Holds the CPU references of losses, metrics and optimizers against Keras 3 on TensorFlow.

Usage: loss_optimizer.py DUMP_LOSS, the program made of dump_loss.c. Exit status 1 when a number is out of bounds.
The references compute in double, Keras in float32; the bounds are those of float32.
"""
import os
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
import tensorflow as tf

CATEGORICAL, SPARSE, BINARY, SQUARED = 1, 2, 3, 4  # tlvk_loss_kind
METRICS = {None: 0, "binary": 2, "categorical": 3, "sparse": 4, "mse": 5}  # tlvk_metric_kind
ADAM, SGD, RMSPROP, ADAMW = 0, 1, 2, 3  # tlvk_optimizer_kind
failures = 0


def ask(dump, *request):
    """One request to the program; its answer as an array."""
    words = []
    for part in request:
        if isinstance(part, np.ndarray):
            words += [repr(float(v)) for v in part.ravel()]
        else:
            words.append(str(part))
    answer = subprocess.run([dump], input=" ".join(words), capture_output=True, text=True, check=True)
    return np.array([float(v) for v in answer.stdout.split()])


def compare(name, ours, theirs, relative, absolute):
    global failures
    ours, theirs = np.asarray(ours, np.float64).ravel(), np.asarray(theirs, np.float64).ravel()
    worst = float(np.max(np.abs(ours - theirs) / (absolute + relative * np.abs(theirs))))
    if not worst <= 1:
        failures += 1
    print(f"{'ok' if worst <= 1 else 'FAILED':6} {name}: {worst:.3f} of the bound")


def check_loss(dump, rng, kind, n, rows, c, from_logits, smoothing, metric, left_out=False):
    """left_out: the model ends in an activation which Keras, within a graph, looks behind (backend/tensorflow/nn.py, _get_logits)."""
    logits = from_logits or left_out
    shape = (n, c) if rows == 1 else (n, rows, c)
    plain = logits or kind == SQUARED
    y = (3 * rng.normal(size=shape) if plain else 0.02 + 0.95 * rng.random(shape)).astype(np.float32)
    if not plain:  # some values outside the clip
        y[rng.random(shape) < 0.05] = 0
    label = rng.integers(0, c, shape[:-1])
    t = {CATEGORICAL: np.eye(c)[label], SPARSE: label, BINARY: rng.integers(0, 2, shape), SQUARED: rng.normal(size=shape)}[kind].astype(np.float32)
    w = (0.25 + rng.random(n)).astype(np.float32) if rows == 1 else np.ones(n, np.float32)
    fn = {
        CATEGORICAL: lambda: keras.losses.CategoricalCrossentropy(from_logits=from_logits, label_smoothing=smoothing),
        SPARSE: lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits),
        BINARY: lambda: keras.losses.BinaryCrossentropy(from_logits=from_logits, label_smoothing=smoothing),
        SQUARED: lambda: keras.losses.MeanSquaredError(),
    }[kind]()
    activation = (tf.nn.sigmoid if kind == BINARY else tf.nn.softmax) if left_out else tf.identity

    @tf.function
    def run(z):
        with tf.GradientTape() as tape:
            tape.watch(z)
            out = activation(z)
            value = fn(tf.constant(t), out, sample_weight=tf.constant(w) if rows == 1 else None)
        return value, tape.gradient(value, z), out

    value, dy, out = run(tf.constant(y))
    a = ask(dump, "loss", kind, int(logits), int(from_logits), smoothing, METRICS[metric], n, rows, c, y, t, w)
    name = f"loss {kind} n {n} rows {rows} c {c}{' from_logits' if from_logits else ''}{' activation left out' if left_out else ''}"
    compare(name, a[0] / n, value, 1e-5, 1e-6)
    compare(name + " gradient", a[5:], dy, 2e-5, 2e-6 / n)
    if metric:
        m = {"binary": keras.metrics.BinaryAccuracy, "categorical": keras.metrics.CategoricalAccuracy,
             "sparse": keras.metrics.SparseCategoricalAccuracy, "mse": keras.metrics.MeanSquaredError}[metric]()
        m.update_state(t, out)
        compare(f"{name} {metric}", (a[4] if metric == "mse" else a[2]) / a[3], m.result(), 1e-5, 1e-7)


def check_update(dump, rng, name, kind, make, l1=0.0, l2=0.0, steps=20, count=40, **options):
    w = rng.normal(size=count).astype(np.float32)
    g = (0.3 * rng.normal(size=(steps, count))).astype(np.float32)
    variable, optimizer, regularizer = keras.Variable(w), make(), keras.regularizers.L1L2(l1, l2)
    for step in g:
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(variable.value * step) + regularizer(variable.value)
        optimizer.apply([tape.gradient(value, variable.value)], [variable])
    get = lambda key: float(options.get(key, 0))
    a = ask(dump, "update", kind, get("learning_rate"), get("momentum"), int(get("nesterov")), int(get("centered")), int(get("amsgrad")),
            get("weight_decay"), get("clipnorm"), get("clipvalue"), l1, l2, steps, count, w, g)
    compare(name, a, variable.numpy(), 1e-5, 4e-6)


def main():
    dump, rng = sys.argv[1], np.random.default_rng(1)
    for n, rows, c in ((7, 1, 4), (3, 6, 5), (5, 1, 130)):
        for from_logits, left_out in ((True, False), (False, False), (False, True)):
            if rows > 1 and left_out:
                continue
            for smoothing in (0.0, 0.2):
                check_loss(dump, rng, CATEGORICAL, n, rows, c, from_logits, smoothing, "categorical", left_out)
                check_loss(dump, rng, BINARY, n, rows, c, from_logits, smoothing, "binary", left_out)
            check_loss(dump, rng, SPARSE, n, rows, c, from_logits, 0.0, "sparse", left_out)
            check_loss(dump, rng, CATEGORICAL, n, rows, c, from_logits, 0.0, "mse", left_out)
            check_loss(dump, rng, BINARY, n, rows, c, from_logits, 0.0, "mse", left_out)
        check_loss(dump, rng, SQUARED, n, rows, c, False, 0.0, "mse")
    check_loss(dump, rng, BINARY, 50, 1, 1, True, 0.0, "binary")
    check_loss(dump, rng, BINARY, 50, 1, 1, False, 0.0, "binary", True)

    o = keras.optimizers
    for kind, make, flags in (
        (ADAM, o.Adam, {}), (ADAM, o.Adam, {"amsgrad": True}), (ADAMW, o.AdamW, {}), (SGD, o.SGD, {}), (SGD, o.SGD, {"momentum": 0.9}),
        (SGD, o.SGD, {"momentum": 0.9, "nesterov": True}), (RMSPROP, o.RMSprop, {}), (RMSPROP, o.RMSprop, {"momentum": 0.8}),
        (RMSPROP, o.RMSprop, {"centered": True}), (RMSPROP, o.RMSprop, {"centered": True, "momentum": 0.8}),
    ):
        for extra in ({}, {"clipnorm": 0.5}, {"clipvalue": 0.1}, {"weight_decay": 0.02}):
            options = {"learning_rate": 0.01, **flags, **extra}
            name = make.__name__ + str(options)
            check_update(dump, rng, name, kind, lambda: make(**options), **options)
            check_update(dump, rng, name + " l1 l2", kind, lambda: make(**options), l1=0.01, l2=0.02, **options)
    print(f"{failures} comparisons failed" if failures else "all comparisons passed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
