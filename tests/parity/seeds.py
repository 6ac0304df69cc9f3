"""Trains what is most easily got wrong in a graph for five steps against Keras: a layer called twice, several inputs and outputs, an output that
others read, models within models within a Sequential, open height and width.

Usage: seeds.py DUMP_TRAINING [NAME ...]. Truth and bounds are those of models.py: Keras in float64 from the same weights and batches; a quantity
may be off by FACTOR times what random changes of 1e-6 of weights and inputs move it, or what Keras's own float32 run is off by, whichever is more.
Each step's losses and the weights after all are compared.
"""
import os
import sys
import tempfile
from types import SimpleNamespace

import oracle

import keras
import numpy as np

import models
import nets

L = keras.layers
STEPS, BATCH = 5, 12
ACCURACY, NO_METRIC = models.ACCURACY, 0


class Seed:
    """A model, its batches [(inputs, targets), ...], and one (loss, weight, metric) per output. The optimizer is Adam."""

    def __init__(self, name, model, batches, outputs, trainable=()):
        self.name, self.model, self.batches, self.outputs, self.trainable, self.K = name, model, batches, outputs, list(trainable), keras
        self.optimizer, self.schedule = {"kind": models.ADAM, "learning_rate": 0.002}, None

    def compile(self, model):
        losses = [models.keras_loss(SimpleNamespace(K=keras, loss=loss)) for loss, _, _ in self.outputs]
        metrics = [["accuracy"] if metric else [] for _, _, metric in self.outputs]
        several = len(losses) > 1
        model.compile(optimizer=models.keras_optimizer(self), loss=losses if several else losses[0], metrics=metrics if several else metrics[0],
                      loss_weights=[models.exact(weight) for _, weight, _ in self.outputs] if several else None, jit_compile=False)


class Truth:
    """The seed in Keras; it can be run again from changed weights and inputs."""

    def __init__(self, seed, floatx):
        self.seed, self.floatx = seed, floatx
        keras.backend.set_floatx(floatx)
        self.model = nets.copied(seed.model, floatx)
        models.freeze(seed, self.model)
        seed.compile(self.model)
        self.model.optimizer.build(self.model.trainable_variables)
        self.start = [v.numpy() for v in nets.variables(self.model)]
        self.state = [(v, v.numpy()) for v in self.model.optimizer.variables]

    def run(self, change=None):
        def moved(a):
            return a.astype(self.floatx) * (1 + models.CHANGE * change.normal(size=a.shape) if change else 1)

        for v, w in zip(nets.variables(self.model), self.start):
            v.assign(moved(w))
        for v, w in self.state:
            v.assign(w)
        names, losses, accuracies = getattr(self.model, "output_names", []), [], []
        for inputs, targets in self.seed.batches:
            self.model.reset_metrics()
            x, y = [moved(a) for a in inputs], [a.astype(self.floatx) for a in targets]
            logs = self.model.train_on_batch(x if len(x) > 1 else x[0], y if len(y) > 1 else y[0], return_dict=True)
            if len(y) == 1:
                losses.append([logs["loss"]])
                accuracies.append([logs["accuracy"]])
            else:
                losses.append([logs["loss"], *(logs[f"{name}_loss"] for name in names)])
                accuracies.append([logs[f"{name}_accuracy"] for name in names if f"{name}_accuracy" in logs])
        weights = {f"w:{i}": v.numpy().astype(np.float64) for i, v in enumerate(nets.variables(self.model))}
        return {"losses": np.array(losses, np.float64), "accuracies": np.array(accuracies, np.float64), **weights}


def ours(program, seed, folder):
    keras.backend.set_floatx("float32")
    path = os.path.join(folder, "model.h5")
    seed.model.save(path)
    with open(os.path.join(folder, "arrays.bin"), "wb") as out:
        for inputs, targets in seed.batches:
            for a in (*inputs, *targets):
                out.write(np.ascontiguousarray(a, np.float32).tobytes())
    losses, weights, metrics = zip(*seed.outputs)
    shapes = [{"inputs": [a.shape for a in inputs], "targets": [a.shape for a in targets]} for inputs, targets in seed.batches]
    found, said = models.dump(program, folder, {"arrays": out.name, "model": path, "optimizer": seed.optimizer, "trainable": seed.trainable, "steps": shapes,
                                                "losses": losses, "loss_weights": weights, "metrics": metrics, "jobs": ["steps"]})
    logs = said["steps"]
    several = len(losses) > 1
    found["losses"] = np.array([[log["loss"], *(one["loss"] for one in log["outputs"])] for log in logs])
    found["accuracies"] = np.array([[one["accuracy"] for one in (log["outputs"] if several else [log]) if one["accuracy"] is not None] for log in logs])
    return found


def compare(program, seed):
    with tempfile.TemporaryDirectory() as folder:
        found = ours(program, seed, folder)
    own, truth, rng = Truth(seed, "float32").run(), Truth(seed, "float64"), np.random.default_rng(9)
    true = truth.run()
    changed = [truth.run(rng) for _ in range(models.CHANGED_RUNS)] + [own]
    moved = sum(np.abs(true[f"w:{i}"] - w).max() > 1e-4 for i, w in enumerate(truth.start))
    oracle.check_that(f"{seed.name}: training moves weights", moved >= min(4, len(truth.start)), f"{moved} of {len(truth.start)} arrays")
    models.compare(seed, found, true, changed)
    keras.backend.set_floatx("float32")


# --- the seeds of doubt ------------------------------------------------------------------------------------------------------------------

def batches(x, *targets, also=()):
    """The samples in STEPS batches."""
    parts = [slice(at, at + BATCH) for at in range(0, STEPS * BATCH, BATCH)]
    return [([a[part] for a in (x, *also)], [np.asarray(t, np.float32)[part] for t in targets]) for part in parts]


def samples(shape=(10, 10, 3), classes=4, seed=1, count=STEPS * BATCH):
    x, label = nets.pictures(count, shape, classes, seed)
    return x, label.astype(np.float32)


def randomized(model):
    """Biases, shifts, scales and statistics that differ, where Keras starts with zeros and ones."""
    rng = np.random.default_rng(4)
    for v in nets.variables(model):
        if len(v.shape) == 1:
            start = v.numpy()
            v.assign(start + rng.uniform(0.05, 0.3, size=start.shape) * np.sign(rng.normal(size=start.shape)))
    return model


def layer_twice():
    """A convolution, a BatchNormalization whose statistics both calls move, and a Dense, each called twice, once on its own output."""
    inputs = keras.Input((10, 10, 3), name="input")
    conv, norm = L.Conv2D(8, 3, padding="same", use_bias=False, name="conv"), L.BatchNormalization(momentum=0.9, name="norm")
    dense = L.Dense(8, activation="tanh", name="dense")
    stem = L.Conv2D(8, 3, strides=2, activation="elu", name="stem")(inputs)
    first = L.Activation("elu", name="first")(norm(conv(stem)))
    second = L.Activation("tanh", name="second")(norm(conv(first)))
    x = L.Flatten(name="flatten")(L.AveragePooling2D(2, name="pool")(L.Add(name="add")([first, second])))
    x = dense(dense(L.Dense(8, name="narrow")(x)))
    return keras.Model(inputs, L.Dense(4, activation="softmax", name="head")(x), name="twice")


def two_and_two(inner_output):
    """Pictures and words to a class and amounts; or, with `inner_output`, to a class and the sigmoid layer that the class is told from."""
    picture, words = keras.Input((10, 10, 3), name="picture"), keras.Input((5,), name="words")
    x = L.Conv2D(8, 3, strides=2, use_bias=False, name="conv")(picture)
    x = L.Activation("elu", name="first")(L.BatchNormalization(name="norm")(x))
    x = L.Concatenate(name="both")([L.Flatten(name="flatten")(x), L.Dense(6, activation="tanh", name="word_layer")(words)])
    trunk = L.Dense(7, activation="sigmoid", name="trunk")(x)
    kind = L.Dense(4, activation="softmax", name="kind", kernel_regularizer=keras.regularizers.L2(1e-2))(trunk)
    other = trunk if inner_output else L.Dense(3, name="amount")(trunk)
    return keras.Model([picture, words], [kind, other], name="two_and_two")


def model_in_model_in_sequential():
    """The innermost model is called twice. (A file does not say that it is the same one beside the model that holds it.)"""
    inner_in = keras.Input((5, 5, 8), name="inner_input")
    x = L.Conv2D(8, 3, padding="same", use_bias=False, name="inner_conv")(inner_in)
    inner = keras.Model(inner_in, L.Activation("elu", name="inner_out")(L.BatchNormalization(momentum=0.9, name="inner_norm")(x)), name="inner")
    outer_in = keras.Input((10, 10, 3), name="outer_input")
    x = L.Conv2D(8, 3, strides=2, padding="same", name="outer_conv")(outer_in)
    outer = keras.Model(outer_in, L.Add(name="outer_add")([inner(inner(x)), x]), name="outer")
    average = L.GlobalAveragePooling2D(name="average")
    return keras.Sequential([keras.Input((10, 10, 3), name="input"), outer, average, L.Dense(4, activation="softmax", name="head")], name="whole")


def open_size():
    inputs = keras.Input((None, None, 3), name="input")
    x = L.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="conv")(inputs)
    x = L.Activation("elu", name="first")(L.BatchNormalization(momentum=0.9, name="norm")(x))
    x = L.Activation("tanh", name="second")(L.SeparableConv2D(10, 3, padding="same", name="separable")(x))
    x = L.GlobalAveragePooling2D(name="average")(x)
    return keras.Model(inputs, L.Dense(4, activation="softmax", name="head")(x), name="open_size")


def seeds():
    sparse, binary, squared = {"kind": models.SPARSE}, {"kind": models.BINARY}, {"kind": models.SQUARED}
    keras.utils.set_random_seed(21)
    x, label = samples()
    rng = np.random.default_rng(2)
    words = rng.normal(size=(len(x), 5)).astype(np.float32) + label[:, None] / 2
    amount = np.stack([np.sin(label), x.mean((1, 2, 3)), words[:, 0]], 1)
    tags = (rng.random((len(x), 7)) < 0.3 + 0.1 * label[:, None]).astype(np.float32)
    one = [(sparse, 1.0, ACCURACY)]
    yield Seed("a layer called twice", randomized(layer_twice()), batches(x, label), one)
    yield Seed("two inputs and two outputs", randomized(two_and_two(False)), batches(x, label, amount, also=[words]), [(sparse, 1.0, ACCURACY), (squared, 0.3, NO_METRIC)])
    yield Seed("an output that others read", randomized(two_and_two(True)), batches(x, label, tags, also=[words]), [(sparse, 0.7, ACCURACY), (binary, 0.5, ACCURACY)])
    yield Seed("two outputs, one frozen", randomized(two_and_two(False)), batches(x, label, amount, also=[words]), [(sparse, 1.0, ACCURACY), (squared, 0.3, NO_METRIC)],
               trainable=[("amount", False), ("conv", False), ("norm", False)])
    yield Seed("a model in a model in a Sequential", randomized(model_in_model_in_sequential()), batches(x, label), one)
    sizes = ((12, 12), (9, 15), (9, 15), (16, 8), (12, 12))
    sized = [samples((*size, 3), seed=30 + i, count=BATCH) for i, size in enumerate(sizes)]
    yield Seed("open height and width", randomized(open_size()), [([pictures], [kinds]) for pictures, kinds in sized], one)


def main():
    program, wanted = sys.argv[1], sys.argv[2:]
    for seed in seeds():
        if not wanted or any(word in seed.name for word in wanted):
            compare(program, seed)
    oracle.finish()


if __name__ == "__main__":
    main()
