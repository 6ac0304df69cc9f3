"""Holds every built-in network against keras.applications: names, classes, shapes, parameters and connections of its layers, their settings and
initializers, with the classifier and without, at its own size, an odd one and an open one; the text of its summary; which arguments are refused;
where its official weights are; and its answers to pictures, with weights that Keras saved and that are read by order.

Usage: nets_summary.py DUMP_NET [NET...]
DUMP_NET is the program built from dump_net.c. Answers are logits at the smallest size that Keras allows.
"""
import contextlib
import inspect
import json
import os
import re
import subprocess
import sys
import tempfile
import warnings

import oracle
from nets import in_float64, inner, pictures

import h5py
import keras
import numpy as np
from keras.src import initializers
from keras.src.utils import file_utils

os.environ["COLUMNS"] = "200"  # a terminal wide enough for Keras's summary
A = keras.applications
NETS = {
    "vgg16": A.VGG16, "vgg19": A.VGG19, "resnet50": A.ResNet50, "resnet101": A.ResNet101, "resnet152": A.ResNet152, "resnet50v2": A.ResNet50V2,
    "resnet101v2": A.ResNet101V2, "resnet152v2": A.ResNet152V2, "inceptionv3": A.InceptionV3, "xception": A.Xception, "mobilenet": A.MobileNet,
    "mobilenetv2": A.MobileNetV2, "densenet121": A.DenseNet121, "densenet169": A.DenseNet169, "densenet201": A.DenseNet201,
    **{f"efficientnetb{i}": getattr(A, f"EfficientNetB{i}") for i in range(8)},
    **{f"efficientnetv2{kind.lower()}": getattr(A, f"EfficientNetV2{kind}") for kind in ("B0", "B1", "B2", "B3", "S", "M", "L")},
    **{f"convnext{kind.lower()}": getattr(A, f"ConvNeXt{kind}") for kind in ("Tiny", "Small", "Base", "Large", "XLarge")},
    "mobilenetv3small": A.MobileNetV3Small, "mobilenetv3large": A.MobileNetV3Large, "nasnetmobile": A.NASNetMobile, "nasnetlarge": A.NASNetLarge,
}
READY_INSIDE = ("efficientnet", "mobilenetv3", "convnext")
# By layers that go by the height's and the width's parity, so that a width cannot be open alone.
PADDED = {"mobilenetv2", *(f"efficientnetb{i}" for i in range(8)), "mobilenetv3small", "mobilenetv3large", "nasnetmobile", "nasnetlarge"}
SMALLEST = {"inceptionv3": 75, "xception": 71}
OWN_SIZE = {"inceptionv3": 299, "xception": 299, **dict(zip([f"efficientnetb{i}" for i in range(8)], (224, 240, 260, 300, 380, 456, 528, 600))),
            **dict(zip([f"efficientnetv2{kind}" for kind in ("b0", "b1", "b2", "b3", "s", "m", "l")], (224, 240, 260, 300, 384, 480, 480))),
            "nasnetlarge": 331}
# The deepest ones differ from these in how often a block is repeated, which their layers show.
ANSWERS = ["vgg16", "resnet50", "resnet50v2", "inceptionv3", "xception", "mobilenet", "mobilenetv2", "densenet121", "efficientnetb0",
           "efficientnetv2b0", "efficientnetv2s", "mobilenetv3small", "mobilenetv3large", "nasnetmobile", "convnexttiny"]
# Those whose checks are written differently in Keras; of the others only what is refused before a layer is made.
CHECKED = ["vgg16", "inceptionv3", "mobilenet", "mobilenetv2", "efficientnetb0", "mobilenetv3small", "nasnetmobile", "convnexttiny"]
# Of Keras's layer configs: what the library never varies.
NOT_WRITTEN = {"dtype", "synchronized", "optional", "ragged", "sparse", "rms_scaling"}
U = 2.0 ** -24  # unit roundoff of float32


def words(options):
    return [f"{key}={value}" for key, value in options.items()]


def arguments(net, options):
    """Keras's for dump_net's options."""
    given = {"weights": options.get("weights"), "include_top": not options.get("no_top")}
    if "height" in options:
        given["input_shape"] = tuple(None if size == -1 else size for size in (options["height"], options["width"], options.get("channels", 3)))
    if "activation" in options or "logits" in options:
        given["classifier_activation"] = options.get("activation")
    if "dropout" in options and net.startswith("mobilenetv3"):
        given["dropout_rate"] = options["dropout"]
        options = {key: options[key] for key in options if key != "dropout"}
    return {**given, **{key: options[key] for key in ("pooling", "classes", "alpha", "dropout", "depth_multiplier") if key in options}}


# --- layers -----------------------------------------------------------------------------------------------------------------------------------

def layers_of(model):
    """As dump_net prints them. Arithmetic between layers is an operation without parameters, and stands in the summary as layers do."""
    rows = []
    for layer in model.operations:
        reads = [t._keras_history.operation.name for node in layer._inbound_nodes for t in node.input_tensors]
        params = layer.count_params() if hasattr(layer, "count_params") else 0
        rows.append([layer.name, type(layer).__name__, str(tuple(layer.output.shape)), params, reads])
    return rows


def configs_of(layers):
    """Settings by layer, at every depth."""
    found = {}
    for layer in layers:
        if "layers" in layer["config"]:
            found.update(configs_of(layer["config"]["layers"]))
        else:
            found[layer["config"]["name"]] = layer["config"]
    return found


def default_of(layer, key):
    """What Keras takes where a config does not say it."""
    value = inspect.signature(type(layer).__init__).parameters[key].default
    return keras.initializers.serialize(keras.initializers.get(value)) if key.endswith("_initializer") else value


def plain(key, value, rank):
    """A setting without what the two spellings of it differ in."""
    if isinstance(value, dict):
        return [value["class_name"], {k: v for k, v in value["config"].items() if k not in ("seed", "input_axes", "output_axes")}]
    if key == "axis":
        (value,) = value if isinstance(value, (list, tuple)) else (value,)
        return value % rank
    return {"swish": "silu"}.get(value, value) if isinstance(value, str) else list(value) if isinstance(value, tuple) else value


def same(a, b):
    if isinstance(a, (list, dict)):
        keys = range(max(len(a), len(b))) if isinstance(a, list) else a.keys() | b.keys()
        return type(a) is type(b) and len(a) == len(b) and all(same(a[key], b[key]) for key in keys)
    if isinstance(b, float):
        return isinstance(a, (int, float)) and abs(a - b) <= 4 * U * abs(b)
    return a == b


def compare_configs(name, ours, model):
    """Every setting that Keras's layers have: initializers, momentum, epsilon, padding ..."""
    ours, theirs = configs_of(json.loads(ours)["config"]["layers"]), configs_of(json.loads(model.to_json())["config"]["layers"])
    layers = {layer.name: layer for layer in inner(model)}
    wrong, count = [], 0
    for name_of, settings in theirs.items():
        layer = layers.get(name_of)
        for key in [key for key in settings if layer and key not in NOT_WRITTEN]:
            mine = ours[name_of][key] if key in ours[name_of] else default_of(layer, key)
            a, b = (plain(key, value, len(layer.output.shape)) for value in (mine, settings[key]))
            count += 1
            if not same(a, b):
                wrong.append(f"{name_of}: {key} is {a}, not {b}")
    oracle.check_that(f"{name}: {count} settings", count > 0 and not wrong, "; ".join(wrong[:3]))


def compare_summary(name, ours, model):
    lines = []
    model.summary(print_fn=lambda text, **_: lines.append(text))
    theirs = [line.rstrip() for line in "\n".join(lines).splitlines() if line.strip()]
    mine = [line.rstrip() for line in ours.splitlines() if line.strip()]
    if any(w.name == "count" for w in model.weights):  # Normalization's, 8 bytes in Keras: the sizes in bytes differ by 4
        mine, theirs = ([re.sub(r" params: ([\d,]+) \(.*", r" params: \1", line) for line in lines] for lines in (mine, theirs))
    different = [f"{a!r} is not {b!r}" for a, b in zip(mine, theirs) if a != b]
    oracle.check_that(f"{name}: {len(theirs)} lines of the summary", not different and len(mine) == len(theirs) > 5, "; ".join(different[:2]))


@contextlib.contextmanager
def without_values():
    """Layers are compared without their weights' values: drawing those of the largest networks would take minutes."""
    call = initializers.VarianceScaling.__call__
    try:
        initializers.VarianceScaling.__call__ = lambda self, shape, dtype=None: keras.ops.zeros(shape, dtype)
        yield
    finally:
        initializers.VarianceScaling.__call__ = call


@contextlib.contextmanager
def without_files(asked):
    """Keras takes no official file; the address and the name of each that it asks for are in `asked`."""
    get_file, load_weights = file_utils.get_file, keras.Model.load_weights
    try:
        file_utils.get_file = lambda name, address, **_: asked.append((address, name))
        keras.Model.load_weights = lambda self, path: None
        with warnings.catch_warnings(action="ignore"):  # at sizes without weights of their own
            yield
    finally:
        file_utils.get_file, keras.Model.load_weights = get_file, load_weights


def run_ours(program, net, options):
    return subprocess.run([program, net, *words(options)], capture_output=True, text=True, env={**os.environ, "KERAS_HOME": "/nowhere"})


def compare_preprocessing(name, ours, net):
    """The kind of preparation that the model carries, against what Keras's preprocess_input does to one pixel."""
    pixel = np.array([[[10.0, 100.0, 200.0]]])
    kinds = {1: pixel, 2: pixel / 127.5 - 1, 3: pixel[..., ::-1] - [103.939, 116.779, 123.68],
             4: (pixel / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]}  # tlvk_preprocess: none, tf, caffe, torch
    theirs = sys.modules[NETS[net].__module__].preprocess_input(pixel.copy())
    oracle.check_that(f"{name}: preprocessing", [kind for kind, value in kinds.items() if np.allclose(value, theirs)] == [ours], ours)


def compare_layers(program, net, **options):
    """`options` are dump_net's; Keras's arguments follow from them."""
    name, asked = " ".join([net, *words(options)]), []
    keras.backend.clear_session()
    with without_values(), without_files(asked):
        theirs = NETS[net](**arguments(net, options))
    if asked:
        said = run_ours(program, net, options)
        address, file = asked[0]
        wanted = f"get {address} and put it at /nowhere/models/{file}\n"
        oracle.check_that(f"{name}: official file", said.returncode == 4 and said.stderr.endswith(wanted), said.stderr.strip())
    ours = json.loads(oracle.run(program, net, *words(options), *["unloaded=1"] * len(asked)))
    rows, expected = ours["layers"], layers_of(theirs)
    different = [f"{a} is not {b}" for a, b in zip(rows, expected) if a != b]
    oracle.check_that(f"{name}: {len(expected)} layers", not different and len(rows) == len(expected), "; ".join(different[:3]))
    trainable = sum(int(np.prod(w.shape)) for w in theirs.trainable_weights)
    counts = (ours["total_params"], ours["trainable_params"])
    oracle.check_that(f"{name}: parameters", counts == (theirs.count_params(), trainable), counts)
    oracle.check_that(f"{name}: name", ours["name"] == theirs.name, ours["name"])
    if not asked:
        compare_preprocessing(name, ours["preprocess"], net)
    compare_configs(name, ours["config"], theirs)
    compare_summary(name, ours["summary"], theirs)


# --- what is refused --------------------------------------------------------------------------------------------------------------------------

def refusals(net):
    """Options that Keras refuses. Those of the last list it refuses only when the whole network has been built."""
    least, own, official = SMALLEST.get(net, 32), OWN_SIZE.get(net, 224), {"weights": "imagenet"}
    small = {"height": least - 1, "width": 2 * least}
    early = [{**small, "no_top": 1}, small, {"height": 2 * least, "width": least - 1, "no_top": 1}, {**small, **official, "no_top": 1},
             {**official, "classes": 10}, {"weights": "/nowhere/weights.h5"}, {"height": own, "width": own, "channels": -1, "no_top": 1}]
    sized = [{"height": -1, "width": -1}, {"height": 2 * own, "width": -1}, {**official, "height": own + 32, "width": own + 32},
             {**official, "height": own, "width": own + 1}, {**official, "height": own, "width": own, "channels": 1},
             {**official, "height": own, "width": own, "channels": 1, "no_top": 1}]
    if net.startswith("mobilenetv3"):
        early += [{**official, "alpha": 0.5}, {**official, "alpha": 1.25}, {"dropout": 1.5}]
    else:
        early += sized
    if net.startswith("nasnet"):
        early += [{**official, "height": -1, "width": -1, "no_top": 1}, {**official, "height": own, "width": -1, "no_top": 1},
                  {"height": -1, "width": least, "no_top": 1}]
    if net == "mobilenet":
        early += [{**official, "alpha": 0.6}, {**official, "alpha": 1.3}, {**official, "depth_multiplier": 2}, {"alpha": 0.01}, {"alpha": -1.0},
                  {"dropout": 1.5}, {"dropout": -0.5}, {"depth_multiplier": -1}]
    if net == "mobilenetv2":
        early += [{**official, "alpha": 0.6}, {**official, "alpha": 0.25}, {"depth_multiplier": 2}, {"dropout": 0.5}]
    if net == "vgg16":
        early += [{"alpha": 0.5}, {"depth_multiplier": 2}, {"dropout": 0.5}]
    late = [{**official, "activation": "sigmoid"}, {"classes": -3}]
    return early, late + [{"height": least, "width": -1, "no_top": 1}] * (net in PADDED)


def accepted(net):
    """The other side of the same rules."""
    least, own, official = SMALLEST.get(net, 32), OWN_SIZE.get(net, 224), {"weights": "imagenet"}
    open_too = [{"height": -1, "width": -1}, {**official, "height": 2 * own, "width": own}, {**official, "alpha": 0.75}]
    partly = {"height": -1, "width": least, "no_top": 1} if net in PADDED else {"height": least, "width": -1, "no_top": 1}
    return (open_too if net.startswith("mobilenetv3") else []) + [{"height": least, "width": least}, *([partly] * (net != "nasnetmobile")),
            {"height": own, "width": own, "channels": 1, "no_top": 1},
            {"height": own, "width": own, "channels": 4, "classes": 10, "activation": "sigmoid"}, {**official, "height": own, "width": own},
            {**official, "height": own, "width": own, "logits": 1}, {**official, "height": own + 5, "width": own, "no_top": 1, "classes": 10}]


def compare_refusals(program, net, options, refused):
    name, why = " ".join([net, *words(options)]), ""
    keras.backend.clear_session()
    try:
        with without_values(), without_files([]):
            NETS[net](**arguments(net, options))
    except (ValueError, TypeError) as error:
        why = str(error).strip() or type(error).__name__
    said = run_ours(program, net, options)
    taken = said.returncode == 0 or (said.returncode == 4 and " and put it at /nowhere/models/" in said.stderr)
    ok = bool(why) == refused and (said.returncode == 4 and not taken if refused else taken)
    oracle.check_that(f"{name}: {'refused' if refused else 'accepted'}", ok, f"Keras: {why[:120]!r}; here: {said.stderr.strip()[:160]!r}")


# --- answers ----------------------------------------------------------------------------------------------------------------------------------

def shake(model, x, seed):
    """Random biases and statistics near what the pictures give, in one pass from the input on, so that answers tell pictures apart."""
    rng = np.random.default_rng(seed)
    norms = [layer for layer in inner(model) if type(layer).__name__ == "BatchNormalization"]
    gain, bias = (1.0, 0.1) if norms else (1.5, 0.02)  # without it Keras's first weights let pictures fade from layer to layer
    for layer in inner(model):
        values = layer.get_weights()
        if type(layer).__name__ == "BatchNormalization":
            layer.set_weights([1 + 0.2 * rng.normal(size=v.shape) if w.name == "gamma" else 0.2 * rng.normal(size=v.shape) if w.name == "beta" else v
                               for w, v in zip(layer.weights, values)])
            layer.momentum = 0.0
        elif type(layer).__name__ == "Normalization" and values:
            layer.set_weights([0.5 + 0.05 * rng.normal(size=3), 0.05 + 0.01 * rng.random(3), np.zeros((), values[2].dtype)])
            layer.finalize_state()
        elif type(layer).__name__ == "LayerScale":
            layer.set_weights([0.3 * (1 + 0.2 * rng.normal(size=values[0].shape))])  # Keras's first 1e-6 hides the block
        elif values and values[-1].ndim == 1:
            layer.set_weights([*(gain * v for v in values[:-1]), bias * rng.normal(size=values[-1].shape)])
    model(x, training=True)
    step = min(0.1, 2 / max(1, len(norms)))  # each one's is multiplied by those behind it
    for layer in inner(model):
        if type(layer).__name__ == "BatchNormalization":
            *rest, mean, variance = layer.get_weights()
            mean = mean + step * np.sqrt(variance) * rng.normal(size=mean.shape)
            layer.set_weights([*rest, mean, (variance + 1e-3) * np.exp(2 * step * rng.normal(size=variance.shape))])


def save_weights(model, path):
    """As Keras 2 wrote its official files."""
    with h5py.File(path, "w") as file:
        keras.src.legacy.saving.legacy_h5_format.save_weights_to_hdf5_group(file, model)


def pictures_for(net, count, size, seed):
    """In (-1, 1), or in (0, 255) for networks that make pictures ready inside."""
    x = pictures(count, (size, size, 3), 5, seed)[0]
    return x if not net.startswith(READY_INSIDE) else (x + 1) * np.float32(127.5)


def compare_answers(program, net, folder, alpha=None):
    size = SMALLEST.get(net, 32)
    keras.backend.clear_session()
    keras.utils.set_random_seed(7)
    model = NETS[net](weights=None, input_shape=(size, size, 3), classes=10, classifier_activation=None, **({"alpha": alpha} if alpha else {}))
    x = pictures_for(net, 16, size, 1)
    shake(model, x, 2)
    x = x[:2]  # of those that set the statistics: others run off in deep networks of random weights
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
        compare_layers(program, net, weights="imagenet")
        if net in ANSWERS:
            compare_layers(program, net, weights="imagenet", no_top=1, height=139, width=167, pooling="max")
        compare_layers(program, net, no_top=1, pooling="avg", **({} if net in ANSWERS else {"height": 139, "width": 167}))
        early, late = refusals(net)
        for options in [*early, *(late if net in CHECKED else [])]:
            compare_refusals(program, net, options, True)
        for options in accepted(net) if net in CHECKED else []:
            compare_refusals(program, net, options, False)
    for net, alpha in (("mobilenet", 0.25), ("mobilenetv2", 0.35), ("mobilenetv2", 1.3)):
        if net in chosen:
            compare_layers(program, net, weights="imagenet", alpha=alpha, height=160, width=160)
            compare_layers(program, net, alpha=alpha, no_top=1, height=97, width=96)
    for net in [name for name in ("mobilenet", "mobilenetv2") if name in chosen]:
        compare_layers(program, net, alpha=0.7, height=33, width=150, classes=5)
    if "mobilenet" in chosen:
        compare_layers(program, "mobilenet", alpha=0.5, depth_multiplier=2, dropout=0.25, height=64, width=64, classes=5, activation="sigmoid")
    if "mobilenetv3small" in chosen:
        compare_layers(program, "mobilenetv3small", weights="imagenet", alpha=0.75)
        compare_layers(program, "mobilenetv3small", alpha=1.3, dropout=0.5, height=65, width=70, classes=7)
    with tempfile.TemporaryDirectory() as folder:
        for net in [name for name in ANSWERS if name in chosen]:
            compare_answers(program, net, folder)
        for net in [name for name in ("mobilenet", "mobilenetv2") if name in chosen]:
            compare_answers(program, net, folder, 0.35)
    oracle.finish()


if __name__ == "__main__":
    main()
