"""Where Keras 3 and Keras 2 (tf_keras) disagree: each disagreement shown live in both, and which side this library takes.

Training follows Keras 3, whichever of the two wrote the file. A file of Keras 1 or 2 keeps its own activations. What only one of them opens, opens here.

Usage: disagreements.py DUMP_MODEL [FOLDER_OF_REAL_FILES]
"""
import json
import os
import subprocess
import sys
import tempfile

import oracle
from oracle import check, check_that

import h5py
import numpy as np
import keras
import tf_keras

KERAS = {"keras": keras, "tf_keras": tf_keras}


class Ours:
    """What this library makes of a file."""

    def __init__(self, program, folder, path, **options):
        self.copy = os.path.join(folder, "ours.keras")
        options.setdefault("copy", self.copy)
        command = [program, path] + ["%s=%s" % item for item in options.items()]
        run = subprocess.run(command, capture_output=True, text=True)
        self.status, self.why = run.returncode, run.stderr.strip()
        self.losses = [float(line.split("\t")[1]) for line in run.stdout.splitlines() if line.startswith("# loss")]

    def model(self):
        return keras.models.load_model(self.copy)


def weight_of(model, layer, name):
    inner = next(w for m in [model] + [l for l in model.layers if hasattr(l, "layers")] for l in m.layers if l.name == layer for w in l.weights
                 if w.name.split("/")[-1].split(":")[0] == name)
    return np.asarray(inner)


def save_data(folder, x, y):
    path = os.path.join(folder, "data.raw")
    np.concatenate([x.ravel(), y.ravel()]).astype("f").tofile(path)
    return path


def moving_variance(program, folder):
    random = np.random.RandomState(1)
    x, y = random.randn(3, 2, 2, 4).astype("f"), random.randn(3, 5).astype("f")
    biased = x.reshape(-1, 4).astype("d").var(axis=0)
    wanted = {"keras": biased, "tf_keras": biased * 12 / 11}
    for kind, k in KERAS.items():
        L = k.layers
        m = k.Sequential([L.Input((2, 2, 4)), L.BatchNormalization(momentum=0.5, name="bn"), L.Flatten(), L.Dense(5)])
        m.compile(optimizer="sgd", loss="mse")
        path = os.path.join(folder, "bn.keras")
        m.save(path)
        m.train_on_batch(x, y)
        theirs = weight_of(m, "bn", "moving_variance")
        check("moving variance in %s" % kind, np.abs(theirs - (0.5 + 0.5 * wanted[kind])).max(), 1e-5)
        ours = Ours(program, folder, path, train=save_data(folder, x, y), samples=3, steps=1)
        ours_variance = weight_of(ours.model(), "bn", "moving_variance") if ours.status == 0 else np.full(4, np.nan)
        check("moving variance here, a file of %s: as Keras 3" % kind, np.abs(ours_variance - (0.5 + 0.5 * biased)).max(), 1e-5, ours.why)
    check_that("the two differ by more than the bound", np.abs(biased / 22).max() > 1e-3)


def hard_sigmoid(program, folder):
    x = np.linspace(-4, 4, 64, dtype="f").reshape(16, 4)
    wanted = {"keras": np.clip(x.astype("d") + 3, 0, 6) / 6, "tf_keras": np.clip(0.2 * x.astype("d") + 0.5, 0, 1)}
    check_that("hard_sigmoid differs between the two", np.abs(wanted["keras"] - wanted["tf_keras"]).max() > 0.05)
    raw, output = os.path.join(folder, "x.raw"), os.path.join(folder, "y.raw")
    x.tofile(raw)
    for kind, k in KERAS.items():
        for form in (".h5", ".keras"):
            m = k.Sequential([k.layers.Input((4,)), k.layers.Activation("hard_sigmoid")])
            path = os.path.join(folder, "hard" + form)
            m.save(path)
            check("hard_sigmoid in %s" % kind, np.abs(m.predict(x, verbose=0) - wanted[kind]).max(), 1e-6)
            there = os.path.join(folder, "there" + form)
            ours = Ours(program, folder, path, samples=16, predict=raw, output=output, copy=os.path.join(folder, "kept.keras"))
            if kind == "keras":
                check("hard_sigmoid here, %s of keras: as Keras 3" % form, np.abs(np.fromfile(output, "f").reshape(16, 4) - wanted[kind]).max(), 1e-6, ours.why)
                opened = keras.models.load_model(os.path.join(folder, "kept.keras"))
                check("hard_sigmoid saved as .keras, opened by keras", np.abs(opened.predict(x, verbose=0) - wanted[kind]).max(), 1e-6)
            else:
                check("hard_sigmoid here, %s of tf_keras: as tf_keras" % form, np.abs(np.fromfile(output, "f").reshape(16, 4) - wanted[kind]).max(), 1e-6)
                check_that("Keras 2's hard_sigmoid is not saved as .keras, which would mean another function", ours.status == 4 and "hard_sigmoid" in ours.why, ours.why)
            ours = Ours(program, folder, path, copy=os.path.join(folder, "kept.h5"))
            check_that("hard_sigmoid of %s is not saved as .h5, which both open" % kind, ours.status == 4 and "hard_sigmoid" in ours.why, ours.why)
            if os.path.exists(output):
                os.remove(output)


def frozen_l2(program, folder):
    x, y = np.ones((2, 3), "f"), np.zeros((2, 1), "f")
    for kind, k in KERAS.items():
        L = k.layers
        m = k.Sequential([L.Input((3,)), L.Dense(2, kernel_regularizer=k.regularizers.L2(0.5), trainable=False, name="frozen"), L.Dense(1, name="free")])
        m.compile(optimizer=k.optimizers.SGD(1e-3), loss="mse")
        m.set_weights([np.ones_like(w) for w in m.get_weights()])
        path = os.path.join(folder, "l2.keras")
        m.save(path)
        loss = float(np.ravel(m.train_on_batch(x, y))[0])
        penalty = 0.5 * 6
        bare = 81.0  # ((1+1+1)+1)*2+1 = 9, squared
        check("L2 of a frozen layer in the loss of %s" % kind, abs(loss - (bare if kind == "keras" else bare + penalty)), 1e-3)
        ours = Ours(program, folder, path, train=save_data(folder, x, y), samples=2, steps=1)
        check("L2 of a frozen layer here, a file of %s: as Keras 3, not in the loss" % kind, abs(ours.losses[0] - bare) if ours.losses else np.nan, 1e-3, ours.why)


def trainable_inside(program, folder):
    x, y = np.ones((2, 3), "f"), np.zeros((2, 1), "f")
    for kind, k in KERAS.items():
        L = k.layers
        inner = k.Sequential([L.Input((3,)), L.Dense(3, name="one"), L.Dense(3, name="two")], name="inner")
        m = k.Sequential([L.Input((3,)), inner, L.Dense(1, name="head")])
        m.compile(optimizer=k.optimizers.SGD(1e-2), loss="mse")
        path = os.path.join(folder, "inside.keras")
        m.save(path)
        before = {n: weight_of(m, n, "kernel").copy() for n in ("one", "two")}
        inner.trainable = False
        inner.layers[-1].trainable = True
        m.compile(optimizer=k.optimizers.SGD(1e-2), loss="mse")
        m.train_on_batch(x, y)
        moved = [n for n in ("one", "two") if not np.array_equal(before[n], weight_of(m, n, "kernel"))]
        check_that("trainable inside a frozen container, in %s: %s" % (kind, moved), moved == (["two"] if kind == "keras" else []))
        ours = Ours(program, folder, path, freeze="inner", unfreeze="two", train=save_data(folder, x, y), samples=2, steps=1)
        opened = ours.model() if ours.status == 0 else None
        moved = [n for n in ("one", "two") if opened and not np.array_equal(before[n], weight_of(opened, n, "kernel"))]
        check_that("trainable inside a frozen container here, a file of %s: as Keras 3, %s" % (kind, moved), moved == ["two"], ours.why)


def opens(k, path):
    try:
        return k.models.load_model(path, compile=False)
    except Exception:
        return None


def depthwise_groups(program, folder, path, name):
    check_that("%s is refused by Keras 3" % name, opens(keras, path) is None)
    old = opens(tf_keras, path)
    check_that("%s opens in tf_keras" % name, old is not None)
    ours = Ours(program, folder, path)
    check_that("%s opens here" % name, ours.status == 0, ours.why)
    x = np.random.RandomState(2).rand(2, *old.input_shape[1:]).astype("f") * 2 - 1
    wanted = old.predict(x, verbose=0)
    check("%s, saved here, opened by Keras 3" % name, np.abs(ours.model().predict(x, verbose=0) - wanted).max(), 1e-4)


def made_as_teachable_machine(folder):
    """The key that TensorFlow 2.3 wrote for DepthwiseConv2D, which Teachable Machine's exports carry."""
    L = tf_keras.layers
    m = tf_keras.Sequential([L.Input((6, 6, 3)), L.DepthwiseConv2D(3, padding="same"), L.Flatten(), L.Dense(2, activation="softmax")])
    path = os.path.join(folder, "teachable.h5")
    m.save(path)
    with h5py.File(path, "a") as f:
        config = json.loads(f.attrs["model_config"])
        next(l for l in config["config"]["layers"] if l["class_name"] == "DepthwiseConv2D")["config"]["groups"] = 1
        f.attrs["model_config"] = json.dumps(config)
    return path


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        moving_variance(program, folder)
        hard_sigmoid(program, folder)
        frozen_l2(program, folder)
        trainable_inside(program, folder)
        depthwise_groups(program, folder, made_as_teachable_machine(folder), "a file with groups on DepthwiseConv2D")
        real = os.path.join(sys.argv[2], "teachable_machine_a.h5") if len(sys.argv) > 2 else ""
        if os.path.isfile(real):
            depthwise_groups(program, folder, real, "Teachable Machine's keras_model.h5")
        else:
            oracle.skipped("no teachable_machine_a.h5: its row was shown on a file made like it")
    oracle.finish()


if __name__ == "__main__":
    main()
