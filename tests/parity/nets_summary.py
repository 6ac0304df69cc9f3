"""Holds every built-in network against keras.applications: names, classes, shapes, parameters and connections of its layers, with the classifier
and without, at its own size, an odd one and an open one; where its official weights are; and its answers to pictures, with weights that Keras
saved and that are read by order.

Usage: nets_summary.py DUMP_NET [NET...]
DUMP_NET is the program built from dump_net.c. Answers are logits at the smallest size that Keras allows.
"""
import json
import os
import subprocess
import sys
import tempfile
import warnings

import oracle
from nets import in_float64, inner, pictures

import h5py
import keras
import numpy as np
from keras.src.utils import file_utils

A = keras.applications
NETS = {
    "vgg16": A.VGG16, "vgg19": A.VGG19, "resnet50": A.ResNet50, "resnet101": A.ResNet101, "resnet152": A.ResNet152, "resnet50v2": A.ResNet50V2,
    "resnet101v2": A.ResNet101V2, "resnet152v2": A.ResNet152V2, "inceptionv3": A.InceptionV3, "xception": A.Xception, "mobilenet": A.MobileNet,
    "mobilenetv2": A.MobileNetV2, "densenet121": A.DenseNet121, "densenet169": A.DenseNet169, "densenet201": A.DenseNet201,
}
SMALLEST = {"inceptionv3": 75, "xception": 71}
# The deepest ones differ from these in how often a block is repeated, which their layers show.
ANSWERS = ["vgg16", "resnet50", "resnet50v2", "inceptionv3", "xception", "mobilenet", "mobilenetv2", "densenet121"]
U = 2.0 ** -24  # unit roundoff of float32


def layers_of(model):
    """As dump_net prints them."""
    rows = []
    for layer in model.layers:
        reads = [t._keras_history.operation.name for node in layer._inbound_nodes for t in node.input_tensors]
        rows.append([layer.name, type(layer).__name__, str(tuple(layer.output.shape)), layer.count_params(), reads])
    return rows


def words(options):
    return [f"{key}={value}" for key, value in options.items()]


def official(net, given):
    """Keras's model with "imagenet" weights, but for the weights, and the address and the name of the file that it asks for."""
    asked = []
    get_file, load_weights = file_utils.get_file, keras.Model.load_weights
    try:
        file_utils.get_file = lambda name, address, **_: asked.append((address, name))
        keras.Model.load_weights = lambda self, path: None
        with warnings.catch_warnings(action="ignore"):  # at sizes without weights of their own
            model = NETS[net](**{**given, "weights": "imagenet"})
    finally:
        file_utils.get_file, keras.Model.load_weights = get_file, load_weights
    return model, asked[0]


def compare_layers(program, net, official_file=False, **options):
    """`options` are dump_net's; Keras's arguments follow from them."""
    no_top, pooling, alpha = options.get("no_top"), options.get("pooling"), options.get("alpha")
    given = {"weights": None, "include_top": not no_top, "pooling": pooling, "classes": options.get("classes", 1000)}
    if "height" in options:
        given["input_shape"] = (options["height"], options["width"], 3)
    if alpha:
        given["alpha"] = alpha
    name = " ".join([net, *words(options)])
    keras.backend.clear_session()
    if official_file:
        theirs, (address, file) = official(net, given)
        said = subprocess.run([program, net, "weights=imagenet", *words(options)], capture_output=True, text=True,
                              env={**os.environ, "KERAS_HOME": "/nowhere"})
        wanted = f"get {address} and put it at /nowhere/models/{file}\n"
        oracle.check_that(f"{name}: official file", said.returncode == 4 and said.stderr.endswith(wanted), said.stderr.strip())
    else:
        theirs = NETS[net](**given)
    ours = json.loads(oracle.run(program, net, *words(options)))
    rows, expected = ours["layers"], layers_of(theirs)
    different = [f"{a} is not {b}" for a, b in zip(rows, expected) if a != b]
    oracle.check_that(f"{name}: {len(expected)} layers", not different and len(rows) == len(expected), "; ".join(different[:3]))
    trainable = sum(int(np.prod(w.shape)) for w in theirs.trainable_weights)
    counts = (ours["total_params"], ours["trainable_params"])
    oracle.check_that(f"{name}: parameters", counts == (theirs.count_params(), trainable), counts)
    if not official_file:  # which takes the name from the official size
        oracle.check_that(f"{name}: name", ours["name"] == theirs.name, ours["name"])


def shake(model, x, seed):
    """Random biases and statistics near what the pictures give, in one pass from the input on, so that answers tell pictures apart."""
    rng = np.random.default_rng(seed)
    normalized = any(type(layer).__name__ == "BatchNormalization" for layer in inner(model))
    gain, bias = (1.0, 0.1) if normalized else (1.5, 0.02)  # without it Keras's first weights let pictures fade from layer to layer
    for layer in inner(model):
        values = layer.get_weights()
        if type(layer).__name__ == "BatchNormalization":
            layer.set_weights([1 + 0.2 * rng.normal(size=v.shape) if w.name == "gamma" else 0.2 * rng.normal(size=v.shape) if w.name == "beta" else v
                               for w, v in zip(layer.weights, values)])
            layer.momentum = 0.0
        elif values and values[-1].ndim == 1:
            layer.set_weights([*(gain * v for v in values[:-1]), bias * rng.normal(size=values[-1].shape)])
    model(x, training=True)
    for layer in inner(model):
        if type(layer).__name__ == "BatchNormalization":
            *rest, mean, variance = layer.get_weights()
            mean = mean + 0.1 * np.sqrt(variance) * rng.normal(size=mean.shape)
            layer.set_weights([*rest, mean, (variance + 1e-3) * np.exp(0.2 * rng.normal(size=variance.shape))])


def save_weights(model, path):
    """As Keras 2 wrote its official files."""
    with h5py.File(path, "w") as file:
        keras.src.legacy.saving.legacy_h5_format.save_weights_to_hdf5_group(file, model)


def compare_answers(program, net, folder, alpha=None):
    size = SMALLEST.get(net, 32)
    keras.backend.clear_session()
    keras.utils.set_random_seed(7)
    model = NETS[net](weights=None, input_shape=(size, size, 3), classes=10, classifier_activation=None, **({"alpha": alpha} if alpha else {}))
    shake(model, pictures(16, (size, size, 3), 5, 1)[0], 2)
    x = pictures(2, (size, size, 3), 5, 3)[0]
    weights, given, out = (os.path.join(folder, f"{net}.{end}") for end in ("h5", "pictures", "out"))
    save_weights(model, weights)
    x.tofile(given)
    options = {"weights": weights, "height": size, "width": size, "classes": 10, "logits": 1, "pictures": given, "out": out}
    oracle.run(program, net, *words({**options, "alpha": alpha} if alpha else options))
    ours = np.fromfile(out, np.float32).reshape(2, 10)
    truth = in_float64(model)
    exact = truth(x.astype(np.float64)).numpy()
    theirs = np.abs(model(x).numpy() - exact).max()
    apart = np.ptp(exact, axis=0).max()
    name = f"{net}{f' alpha={alpha}' if alpha else ''}: answers at {size}x{size}"
    oracle.check_that(f"{name} tell pictures apart", apart > 0.05 * np.abs(exact).max(), f"{apart:.3g} of {np.abs(exact).max():.3g}")
    # A layer's sums of up to 4,608 terms round by sqrt(4608)/4 u of their value or less, at random from layer to layer, and that travels to the
    # answers as far as a change of the input does, which is measured with one of 1e-6.
    rng = np.random.default_rng(4)
    moved = np.abs(truth(x * (1 + 1e-6 * rng.normal(size=x.shape))).numpy() - exact).max() / 1e-6
    bound = 16 * U * len(model.layers) ** 0.5 * (moved + np.abs(exact).max())
    oracle.check(name, np.abs(ours - exact).max(), bound, f"(Keras in float32: {theirs:.3g})")
    os.remove(weights)


def main():
    program, chosen = sys.argv[1], sys.argv[2:] or list(NETS)
    for net in chosen:
        compare_layers(program, net, official_file=True)
        compare_layers(program, net, official_file=True, no_top=1, height=139, width=167, pooling="max")
        compare_layers(program, net, no_top=1, pooling="avg")
    for net, alpha in (("mobilenet", 0.25), ("mobilenetv2", 0.35), ("mobilenetv2", 1.3)):
        if net in chosen:
            compare_layers(program, net, official_file=True, alpha=alpha, height=160, width=160)
            compare_layers(program, net, alpha=alpha, no_top=1, height=97, width=96)
    for net in [name for name in ("mobilenet", "mobilenetv2") if name in chosen]:
        compare_layers(program, net, alpha=0.7, height=33, width=150, classes=5)
    with tempfile.TemporaryDirectory() as folder:
        for net in [name for name in ANSWERS if name in chosen]:
            compare_answers(program, net, folder)
        for net in [name for name in ("mobilenet", "mobilenetv2") if name in chosen]:
            compare_answers(program, net, folder, 0.35)
    oracle.finish()


if __name__ == "__main__":
    main()
