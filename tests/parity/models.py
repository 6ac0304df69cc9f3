"""Holds whole models against Keras: logits, gradients of every trained variable, 20 steps of training, epoch means, moving statistics.

Usage: models.py DUMP_TRAINING, the program made of dump_training.c. With TLVK_TEST_DATA set, files of others are compared too.

The truth is Keras in float64 from the same float32 weights, pictures and batches. A float32 operation that sums K terms errs about as much
as one whose weights or inputs are off by 2^-24 * sqrt(K) of themselves, at most 4e-6 for the 4,608 terms of the largest sum here. So each
quantity's sensitivity is measured, in Keras: how far do random changes of 1e-6 of all weights and pictures at the start move it? The bound is
FACTOR times that, and never below the rounding of the result itself. What Keras's own float32 gradients are off by counts as sensitivity too.
"""
import fnmatch
import json
import os
import sys
import tempfile

import oracle

import keras
import numpy as np
import tensorflow as tf
import tf_keras

import nets

FACTOR, CHANGE, CHANGED_RUNS = 4.0, 1e-6, 2
ROUNDING = 4 * 2.0**-24
ADAM, SGD, RMSPROP, ADAMW = 0, 1, 2, 3
CATEGORICAL, SPARSE, BINARY, SQUARED = 1, 2, 3, 4
ACCURACY = 1


class Task:
    """One comparison: a model file, data, and how it is trained. `optimizer` and `loss` hold the fields of tlvk_optimizer and tlvk_loss."""

    def __init__(self, name, model, x, y, batch=16, epochs=1, optimizer=None, loss=None, metric=ACCURACY, class_weight=None, validation=None,
                 trainable=(), schedule=None, cache="memory", jobs=("predict", "gradients", "fit")):
        self.name, self.model, self.batch, self.epochs, self.class_weight = name, model, batch, epochs, class_weight
        self.x, self.y, self.validation = x.astype(np.float32), np.asarray(y, np.float32), validation
        self.optimizer = {"kind": SGD, "learning_rate": 0.01, **(optimizer or {})}
        self.loss = {"kind": SPARSE, **(loss or {})}
        self.metric, self.trainable, self.schedule, self.cache, self.jobs = metric, list(trainable), schedule, cache, list(jobs)
        self.K = keras if isinstance(model, keras.Model) else tf_keras


def exact(v):
    """The value that a float of the library holds."""
    return float(np.float32(v))


# --- Keras -----------------------------------------------------------------------------------------------------------------------------------

def keras_rate(task):
    rate, s = exact(task.optimizer["learning_rate"]), task.schedule
    if not s:
        return rate
    if s["kind"] == 1:
        return task.K.optimizers.schedules.CosineDecay(rate, s["decay_steps"], alpha=exact(s["alpha"]))
    return task.K.optimizers.schedules.ExponentialDecay(rate, s["decay_steps"], exact(s["decay_rate"]))


def keras_optimizer(task):
    o = task.K.optimizers
    make = {ADAM: o.Adam, SGD: o.SGD, RMSPROP: o.RMSprop, ADAMW: o.AdamW}[task.optimizer["kind"]]
    fields = {k: exact(v) if isinstance(v, float) else v for k, v in task.optimizer.items() if k not in ("kind", "learning_rate")}
    return make(learning_rate=keras_rate(task), **fields)


def keras_loss(task):
    losses, l = task.K.losses, task.loss
    logits, smoothing = l.get("from_logits", False), exact(l.get("label_smoothing", 0.0))
    return {
        CATEGORICAL: lambda: losses.CategoricalCrossentropy(from_logits=logits, label_smoothing=smoothing),
        SPARSE: lambda: losses.SparseCategoricalCrossentropy(from_logits=logits),
        BINARY: lambda: losses.BinaryCrossentropy(from_logits=logits, label_smoothing=smoothing),
        SQUARED: lambda: losses.MeanSquaredError(),
    }[l["kind"]]()


def freeze(task, model):
    for pattern, trainable in task.trainable:
        whole = [layer for layer in model.layers if layer.name == pattern]
        for layer in whole or [layer for layer in nets.inner(model) if fnmatch.fnmatchcase(layer.name, pattern)]:
            layer.trainable = trainable


class Truth:
    """The task in Keras, in float64 unless told otherwise; it can be run again from changed weights and pictures."""

    def __init__(self, task, floatx="float64"):
        self.task, K = task, task.K
        self.float32_gradients = self.own_float32_gradients() if "gradients" in task.jobs else {}
        K.backend.set_floatx(floatx)
        self.model = nets.copied(task.model, floatx)
        freeze(task, self.model)
        options = {"jit_compile": False}
        metrics = ["accuracy"] if task.metric else None
        self.model.compile(optimizer=keras_optimizer(task), loss=keras_loss(task), metrics=metrics, **options)
        self.model.optimizer.build(self.model.trainable_variables)
        self.start = [v.numpy() for v in nets.variables(self.model)]
        state = self.model.optimizer.variables
        self.state = [(v, v.numpy()) for v in (state() if callable(state) else state)]
        self.loss = keras_loss(task)
        self.gradient = tf.function(self.loss_gradient)

    def own_float32_gradients(self):
        """Gradients as Keras itself computes them in float32. Some are zero but for rounding, as that of a shift before a BatchNormalization:
        no change of the weights shows how large the rounding may be."""
        task = self.task
        freeze(task, task.model)
        self.model, self.loss = task.model, keras_loss(task)
        weights = [v.numpy() for v in nets.variables(self.model)]
        found = self.numbered(tf.function(self.loss_gradient)(tf.constant(task.x[: task.batch]), tf.constant(task.y[: task.batch])))
        for v, w in zip(nets.variables(self.model), weights):
            v.assign(w)
        return found

    def numbered(self, gradients):
        numbers = {id(v): i for i, v in enumerate(nets.variables(self.model))}
        return {f"g:{numbers[id(v)]}": np.asarray(g, np.float64) for v, g in zip(self.model.trainable_variables, gradients)}

    def loss_gradient(self, x, y):
        """Of the loss alone: the library adds a regularizer's part where it updates, which shows in the weights after training."""
        with tf.GradientTape() as tape:
            value = self.loss(y, self.model(x, training=True))
        variables = [v.value if self.task.K is keras else v for v in self.model.trainable_variables]
        return tape.gradient(value, variables)

    def logits(self, x):
        """What stands before the last softmax: a model of the same layers with a linear end."""
        if not hasattr(self, "logit_model"):
            config = nets.linear_end(json.loads(self.model.to_json()))
            self.logit_model = self.task.K.models.model_from_json(json.dumps(config))
        self.logit_model.set_weights(self.model.get_weights())
        return self.logit_model.predict(x, verbose=0)

    def reset(self, weights):
        for v, w in zip(nets.variables(self.model), weights):
            v.assign(w)
        for v, w in self.state:
            v.assign(w)

    def run(self, change=None):
        task, x, weights = self.task, self.task.x.astype(np.float64), self.start
        if change:
            x = x * (1 + CHANGE * change.normal(size=x.shape))
            weights = [w * (1 + CHANGE * change.normal(size=w.shape)) for w in weights]
        self.reset(weights)
        found = {"logits": self.logits(x)} if "predict" in task.jobs else {}
        if "gradients" in task.jobs:
            y = task.y.astype(np.float64)
            found.update(self.numbered(self.gradient(tf.constant(x[: task.batch]), tf.constant(y[: task.batch]))))
            self.reset(weights)
        if "fit" in task.jobs or "batches" in task.jobs:
            self.fit(x, found)
        if "evaluate" in task.jobs:
            found["epoch evaluated"] = np.array(self.model.evaluate(x, task.y.astype(np.float64), batch_size=task.batch, verbose=0))
        return found

    def fit(self, x, found):
        task, steps = self.task, []
        record = self.task.K.callbacks.LambdaCallback(on_train_batch_end=lambda _, logs: steps.append([logs["loss"], logs.get("accuracy", np.nan)]))
        weights = {i: exact(w) for i, w in enumerate(task.class_weight)} if task.class_weight else None
        validation = tuple(v.astype(np.float64) for v in task.validation) if task.validation else None
        history = self.model.fit(x, task.y.astype(np.float64), batch_size=task.batch, epochs=task.epochs, shuffle=False, verbose=0,
                                 callbacks=[record], class_weight=weights, validation_data=validation,
                                 validation_batch_size=task.batch).history
        found["losses"], found["accuracies"] = np.array(steps).T
        for key in ("loss", "accuracy", "val_loss", "val_accuracy"):
            if key in history:
                found["epoch " + key] = np.array(history[key])
        found.update({f"w:{i}": v.numpy() for i, v in enumerate(nets.variables(self.model))})


# --- the library --------------------------------------------------------------------------------------------------------------------------------

def ours(program, task, folder, path=None):
    """What dump_training says about the task, under the names that Truth uses."""
    path = path or os.path.join(folder, "model.h5")
    if not os.path.exists(path):
        task.K.backend.set_floatx("float32")
        task.model.save(path)
    arrays = [task.x, task.y] + list(task.validation or [])
    with open(os.path.join(folder, "arrays.bin"), "wb") as out:
        for a in arrays:
            out.write(np.ascontiguousarray(a, np.float32).tobytes())
    spec = {"arrays": out.name, "x": task.x.shape, "y": task.y.shape, "batch": task.batch, "epochs": task.epochs, "loss": task.loss,
            "metric": task.metric, "optimizer": {**task.optimizer, "schedule": task.schedule or {}}, "trainable": task.trainable,
            "cache": task.cache}
    if task.class_weight:
        spec["class_weight"] = task.class_weight
    if task.validation:
        spec["validation"] = [v.shape for v in task.validation]
    found, said = dump(program, folder, {**spec, "model": path, "jobs": [job for job in task.jobs if job != "predict"]})
    if "predict" in task.jobs:
        linear = nets.without_softmax(path, os.path.join(folder, "logits.h5"))
        found["logits"] = dump(program, folder, {**spec, "model": linear, "jobs": ["predict"]})[0]["predictions"]
    if "steps" in said:
        found["losses"], found["accuracies"] = column(said["steps"], "loss"), column(said["steps"], "accuracy")
        for key in ("loss", "accuracy", "val_loss", "val_accuracy"):
            found["epoch " + key] = column(said["epochs"], key)
    if "batches" in said:  # Keras's progress shows running means; these are each batch's own
        found["losses"], found["accuracies"] = (running(column(said["batches"], key), task) for key in ("loss", "accuracy"))
        found["epoch loss"], found["epoch accuracy"] = found["losses"][-1:], found["accuracies"][-1:]
    if "evaluate" in said:
        found["epoch evaluated"] = np.array([said["evaluate"][0]["loss"], said["evaluate"][0]["accuracy"]])
    return found


def running(values, task):
    samples = [min(task.batch, len(task.x) - at) for at in range(0, len(task.x), task.batch)]
    return np.cumsum(values * samples) / np.cumsum(samples)


def column(logs, key):
    return np.array([np.nan if log[key] is None else log[key] for log in logs])


def dump(program, folder, spec):
    with open(os.path.join(folder, "spec.json"), "w") as file:
        json.dump(spec, file)
    out = os.path.join(folder, "out.bin")
    said = json.loads(oracle.run(program, file.name, out))
    return oracle.read_arrays(np.fromfile(out, np.float32), said["arrays"], np.float64)[0], said


# --- comparing ------------------------------------------------------------------------------------------------------------------------------------

def share(found, truth, changed):
    """Error over the bound's unit: the sensitivity, or the result's own rounding where that is larger."""
    if found.shape != truth.shape:
        return np.inf
    unit = max(np.abs(c - truth).max(initial=0) for c in changed)
    unit = max(unit, ROUNDING / FACTOR * np.abs(truth).max(initial=0))
    worst = np.abs(found - truth).max(initial=0)
    return worst / unit if unit else 0.0 if worst == 0 else np.inf


def compare(task, found, truth, changed):
    groups = {"logits": ["logits"], "gradients": [k for k in truth if k.startswith("g:")], "losses": ["losses"], "accuracies": ["accuracies"],
              "epoch means": [k for k in truth if k.startswith("epoch ")], "weights": [k for k in truth if k.startswith("w:")]}
    for group, keys in groups.items():
        keys = [k for k in keys if k in truth and not np.isnan(truth[k]).all()]
        if not keys:
            continue
        missing = [k for k in keys if k not in found]
        if group in ("gradients", "weights"):
            missing += [k for k in found if k[:2] == keys[0][:2] and k not in truth]
        if missing:
            oracle.check_that(f"{task.name}: {group}", False, f"not on both sides: {missing}")
            continue
        worst = max((share(found[k], truth[k], [c[k] for c in changed if k in c]), k) for k in keys)
        key = worst[1]
        error = np.abs(found[key] - truth[key]).max() / max(np.abs(truth[key]).max(), 1e-30)
        oracle.check(f"{task.name}: {group}", worst[0], FACTOR, f"sensitivities ({len(keys)} arrays; worst {key}, {error:.2g} of its largest value)")


def compare_task(program, task, path=None):
    with tempfile.TemporaryDirectory() as folder:
        found = ours(program, task, folder, path)
    truth = Truth(task)
    rng = np.random.default_rng(9)
    true = truth.run()
    changed = [truth.run(rng) for _ in range(CHANGED_RUNS)] + [truth.float32_gradients]
    if "predict" in task.jobs:
        spread = np.ptp(true["logits"], axis=0).max() / np.abs(true["logits"]).max()
        oracle.check_that(f"{task.name}: pictures are told apart", spread > 0.05, f"logits spread over {spread:.2f} of their size")
    compare(task, found, true, changed)
    task.K.backend.set_floatx("float32")


# --- the tasks --------------------------------------------------------------------------------------------------------------------------------------

def settled(model, x, seed=3):
    nets.settle(model, x, seed)
    return model


def one_hot(label, classes):
    return np.eye(classes, dtype=np.float32)[label]


def optimizer_tasks():
    x, label = nets.pictures(320, (16, 16, 3), 4, seed=1)
    keras.utils.set_random_seed(11)
    model = settled(nets.small(), x[:64])
    plain = {
        "SGD": {"kind": SGD, "learning_rate": 0.02}, "SGD momentum": {"kind": SGD, "momentum": 0.9},
        "SGD Nesterov": {"kind": SGD, "momentum": 0.9, "nesterov": True}, "RMSprop": {"kind": RMSPROP, "learning_rate": 0.002},
        "RMSprop centered": {"kind": RMSPROP, "learning_rate": 0.002, "centered": True, "rho": 0.8},
        "RMSprop momentum": {"kind": RMSPROP, "learning_rate": 0.001, "momentum": 0.5},
        "Adam": {"kind": ADAM, "learning_rate": 0.002}, "Adam amsgrad": {"kind": ADAM, "learning_rate": 0.002, "amsgrad": True, "beta_2": 0.9},
        "AdamW": {"kind": ADAMW, "learning_rate": 0.002, "weight_decay": 0.02}, "SGD clipnorm": {"kind": SGD, "learning_rate": 0.05, "clipnorm": 0.1},
        "SGD global clipnorm": {"kind": SGD, "learning_rate": 0.05, "momentum": 0.9, "global_clipnorm": 0.3},
        "SGD clipvalue": {"kind": SGD, "learning_rate": 0.05, "clipvalue": 0.02}, "SGD weight decay": {"kind": SGD, "weight_decay": 0.05},
        "Adam weight decay, clipnorm": {"kind": ADAM, "learning_rate": 0.002, "weight_decay": 0.02, "clipnorm": 0.5},
    }
    for name, optimizer in plain.items():
        yield Task(name, model, x, label, optimizer=optimizer, jobs=["fit"])
    yield Task("cosine schedule", model, x, label, optimizer={"kind": ADAM, "learning_rate": 0.004}, jobs=["fit"],
               schedule={"kind": 1, "decay_steps": 15, "alpha": 0.1})
    yield Task("exponential schedule", model, x, label, optimizer=plain["SGD momentum"], jobs=["fit"],
               schedule={"kind": 2, "decay_steps": 5, "decay_rate": 0.5})
    regular = settled(nets.small(l1=1e-4, l2=3e-3), x[:64])
    yield Task("L1 and L2", regular, x, label, optimizer=plain["SGD momentum"], validation=(x[:48], label[:48]))
    yield Task("L2 with Adam", settled(nets.small(l2=1e-2), x[:64]), x, label, optimizer=plain["Adam"])


def loss_tasks():
    x, label = nets.pictures(320, (16, 16, 3), 4, seed=2)
    hot, rng = one_hot(label, 4), np.random.default_rng(4)
    keras.utils.set_random_seed(12)
    softmax, logits = settled(nets.small(), x[:64]), settled(nets.small(activation="linear"), x[:64])
    sigmoid, sigmoid_5 = settled(nets.small(1, "sigmoid"), x[:64]), settled(nets.small(5, "sigmoid"), x[:64])
    binary_logit, number = settled(nets.small(1, "linear"), x[:64]), settled(nets.small(3, "linear"), x[:64])
    many = (rng.random((320, 5)) < one_hot(label, 5) * 0.6 + 0.2).astype(np.float32)
    amount = np.stack([np.sin(label), x.mean((1, 2, 3)), x.std((1, 2, 3))], 1)
    momentum = {"kind": SGD, "momentum": 0.9}
    for name, model, y, loss, extra in (
        ("categorical", softmax, hot, {"kind": CATEGORICAL}, {}),
        ("categorical smoothed", softmax, hot, {"kind": CATEGORICAL, "label_smoothing": 0.1}, {}),
        ("categorical from logits", logits, hot, {"kind": CATEGORICAL, "from_logits": True, "label_smoothing": 0.2}, {}),
        ("sparse", softmax, label, {"kind": SPARSE}, {}), ("sparse from logits", logits, label, {"kind": SPARSE, "from_logits": True}, {}),
        ("sparse, class weights", softmax, label, {"kind": SPARSE}, {"class_weight": [0.5, 1.0, 2.0, 3.5]}),
        ("categorical, class weights", softmax, hot, {"kind": CATEGORICAL}, {"class_weight": [0.5, 1.0, 2.0, 3.5]}),
        ("binary", sigmoid, label % 2, {"kind": BINARY}, {}), ("binary smoothed", sigmoid, label % 2, {"kind": BINARY, "label_smoothing": 0.1}, {}),
        ("binary, class weights", sigmoid, label % 2, {"kind": BINARY}, {"class_weight": [0.25, 2.0]}),
        ("binary from logits", binary_logit, label % 2, {"kind": BINARY, "from_logits": True}, {}),
        ("binary, five labels", sigmoid_5, many, {"kind": BINARY}, {}), ("squared error", number, amount, {"kind": SQUARED}, {"metric": 0}),
    ):
        y = np.asarray(y, np.float32)
        yield Task("loss " + name, model, x, y[:, None] if y.ndim == 1 and loss["kind"] == BINARY else y, optimizer=momentum, loss=loss, **extra)


def normalization_tasks():
    x, label = nets.pictures(106, (16, 16, 3), 4, seed=5)
    keras.utils.set_random_seed(13)
    model = settled(nets.small(), x[:64])
    tail = {"batch": 32, "epochs": 3, "optimizer": {"kind": SGD, "momentum": 0.9}, "validation": (x[53:], label[53:])}
    yield Task("tail batch of 21", model, x[:53], label[:53], **tail, jobs=["predict", "gradients", "fit", "evaluate"])
    yield Task("batch by batch", model, x[:53], label[:53], batch=8, optimizer={"kind": ADAM, "learning_rate": 1e-3}, jobs=["batches", "evaluate"])
    yield Task("frozen BatchNormalization", model, x[:53], label[:53], trainable=[("*norm", False)], **tail)
    yield Task("ReLU and maxima", settled(nets.small(smooth=False), x[:64]), x[:53], label[:53], **tail)
    first = [("conv", False), ("norm", False), ("first", False)]
    yield Task("frozen first layers, cached", model, x[:53], label[:53], trainable=first, **tail)
    yield Task("frozen first layers, not cached", model, x[:53], label[:53], trainable=first, cache="off", **tail)
    nested = settled(nets.with_base(keras), x[:64])
    yield Task("nested base, trained", nested, x[:53], label[:53], **tail)
    yield Task("nested base, frozen", nested, x[:53], label[:53], trainable=[("base", False)], **tail)
    tf_keras.utils.set_random_seed(14)
    inference = settled(nets.with_base(tf_keras, training=False), x[:64])
    yield Task("nested base, training=False, trained", inference, x[:53], label[:53], **tail)


def vgg_task():
    x, label = nets.pictures(160, (32, 32, 3), 5, seed=6)
    keras.utils.set_random_seed(15)
    yield Task("VGG-like", settled(nets.vgg_like(), x[:64]), x, label, batch=8, optimizer={"kind": SGD, "learning_rate": 0.02, "momentum": 0.9})
    smooth = nets.vgg_like(activation="elu", pooling=nets.L.AveragePooling2D)
    yield Task("VGG-like, smooth, Adam", settled(smooth, x[:64]), x, label, batch=8, optimizer={"kind": ADAM, "learning_rate": 1e-3})


def file_tasks(name, path, shape, batch, rate, norms):
    """A file of others, opened by tf_keras: everything in it trained; then with BatchNormalization frozen. Small steps: with batch statistics
    and ReLU, larger ones go where the last bit of the first step leads."""
    tf_keras.backend.set_floatx("float32")
    model = tf_keras.models.load_model(path, compile=False)
    x, label = nets.pictures(20 * batch, shape, model.output_shape[-1], seed=7)
    optimizer = {"kind": SGD, "learning_rate": rate, "momentum": 0.9}
    yield Task(name, model, x, label, batch=batch, optimizer=optimizer, trainable=[("*", True)])
    yield Task(f"{name}, frozen BatchNormalization", model, x, label, batch=batch, optimizer=optimizer, jobs=["fit"],
               trainable=[("*", True), *[(pattern, False) for pattern in norms]])


def main():
    program, wanted = sys.argv[1], sys.argv[2:]
    groups = {"optimizers": optimizer_tasks, "losses": loss_tasks, "normalization": normalization_tasks, "vgg": vgg_task}
    for group, tasks in groups.items():
        if not wanted or group in wanted:
            for task in tasks():
                compare_task(program, task)
    files = (("fer2013_mini_xception", "fer2013_mini_xception.hdf5", (64, 64, 1), 16, 1e-4, ["batch_normalization_*"]),
             ("teachable machine's MobileNetV2", "teachable_machine_a.h5", (224, 224, 3), 4, 1e-6, ["*_BN", "bn_*", "*_bn"]))
    for name, file, *options in files:
        if wanted and file.split("_")[0] not in wanted:
            continue
        path = oracle.test_data("keras", file)
        if not path:
            oracle.skipped(f"{file}: TLVK_TEST_DATA is not set, or the file is not there")
        for task in file_tasks(name, path, *options) if path else ():
            compare_task(program, task, path)
    oracle.finish()


if __name__ == "__main__":
    main()
