"""Holds the CPU reference of every operation against its Keras layer: values, gradients of inputs and variables, moving statistics.

Usage: ops.py DUMP_OPS, the program made of dump_ops.c, which runs the references on the operations' own small cases. Both sides compute in
float64 on the same floats, so that they may differ by rounding alone: by 1e-10 of the array's largest value. The sums have at most some
thousand terms, whose rounding is a thousand times smaller, and a wrong formula shows at 1e-8 and more. For the two forms of gelu the
difference is that of float32: tf.nn.gelu rounds its constants to float32 before it makes them float64.
"""
import sys
import tempfile

import oracle

import keras
import numpy as np
import tensorflow as tf
import tf_keras
from keras.src.applications import convnext
from keras.src.backend.tensorflow import random as tensorflow_random

BOUND, BOUND_FLOAT_CONSTANTS = 1e-10, 2.0**-24
# TensorFlow resizes float64 pictures in float32: a place on each axis, then three mixes of two numbers, each rounded a few times.
BOUND_FLOAT_RESIZE = 16 * 2.0**-24
MERGING = ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract")
DROPPING = ("AlphaDropout", "Dropout", "SpatialDropout2D", "StochasticDepth")
PICTURES = ("GaussianDropout", "GaussianNoise", "RandomBrightness", "RandomContrast", "RandomCrop", "RandomFlip", "RandomRotation", "RandomTranslation", "RandomZoom")
WINDOWS = ("CenterCrop", "RandomCrop", "Resizing")
GRADIENTLESS = ("CenterCrop", "RandomCrop", "Resizing", "RandomRotation", "RandomTranslation", "RandomZoom")  # stand before everything that is trained
ALL = """Activation Add AlphaDropout Average AveragePooling2D BatchNormalization CenterCrop Concatenate Conv2D Conv2DTranspose Cropping2D Dense
DepthwiseConv2D Dropout ELU Flatten GaussianDropout GaussianNoise GlobalAveragePooling2D GlobalMaxPooling2D LayerNormalization LayerScale LeakyReLU Maximum MaxPooling2D Minimum
Multiply Normalization Permute PReLU RandomBrightness RandomContrast RandomCrop RandomFlip RandomRotation RandomTranslation RandomZoom ReLU Rescaling Reshape Resizing SeparableConv2D Softmax SpatialDropout2D StochasticDepth Subtract UpSampling2D
ZeroPadding2D""".split()
ACTIVATIONS = """linear relu relu6 leaky_relu elu selu sigmoid tanh softmax softplus swish gelu hard_sigmoid gelu_tanh hard_sigmoid_keras2 softsign
exponential hard_swish""".split()


def activation(a):
    """Keras's function for an activation as dump_ops describes it; the parameters that it shows are applied where Keras's take them."""
    name, alpha, maximum, threshold = a["name"], a["alpha"], a["max_value"], a["threshold"]
    special = {
        "relu": lambda x: keras.activations.relu(x, alpha, maximum, threshold),
        "leaky_relu": lambda x: keras.activations.leaky_relu(x, alpha),
        "elu": lambda x: keras.activations.elu(x, alpha),
        "gelu": lambda x: keras.activations.gelu(x, approximate=False),
        "gelu_tanh": lambda x: keras.activations.gelu(x, approximate=True),
        "hard_swish": keras.activations.hard_silu,
        "hard_sigmoid_keras2": tf_keras.activations.hard_sigmoid,
    }
    return special.get(name) or keras.activations.get(name)


def layer_class(name):
    return getattr(keras.layers, name, None) or getattr(convnext, name)


def build(case, inputs, variables):
    config = dict(case["config"], name="layer", dtype="float64")
    if case["activation"]:
        config["activation"] = "linear"
    layer = layer_class(case["class"]).from_config(config)
    if case["activation"]:
        layer.activation = activation(case["activation"])
    shapes = [tuple(x.shape) for x in inputs]
    layer.build(shapes if case["class"] in MERGING else shapes[0])
    names = ["gamma"] if case["class"] == "LayerScale" else [v.name for v in layer.weights]  # to which Keras 3 gives no name, tf_keras this one
    if names != list(variables):
        raise ValueError(f"{case['case']}: Keras has the variables {names}, the operation {list(variables)}")
    layer.set_weights(list(variables.values()))
    if case["class"] == "Normalization":
        layer.finalize_state()
    return layer


def compute(layer, case, inputs, dy):
    """y, gradients of the inputs and of the trainable variables. TensorFlow has no plain CPU kernel for some gradients; XLA has."""
    def body():
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            arguments = {"training": case["training"]} if layer._call_has_training_arg else {}
            y = layer(inputs if case["class"] in MERGING else inputs[0], **arguments)
            total = tf.reduce_sum(y * dy)
        variables = [v.value for v in layer.trainable_variables]
        gradients = tape.gradient(total, [*inputs, *variables], unconnected_gradients="zero")
        return y, gradients[: len(inputs)], gradients[len(inputs) :]

    before = layer.get_weights()
    try:
        return body()
    except (tf.errors.UnimplementedError, tf.errors.InvalidArgumentError):
        layer.set_weights(before)
        return tf.function(body, jit_compile=True)()


def difference(ours, theirs):
    theirs = np.asarray(theirs)
    if ours.shape != theirs.shape:
        return np.inf
    largest = np.abs(theirs).max(initial=0)
    worst = np.abs(ours - theirs).max(initial=0)
    return worst / largest if largest else worst


def noise_of(case, shape):
    """The shape in which a layer of Dropout's kin draws."""
    noise = case["config"].get("noise_shape")
    if case["class"] == "SpatialDropout2D":
        noise = [None, *[1] * (len(shape) - 2), None]
    elif case["class"] == "StochasticDepth":
        noise = [None, *[1] * (len(shape) - 1)]
    return tuple(n or s for n, s in zip(noise or shape, shape))


def check_dropout(name, case, arrays):
    """Keras's random numbers cannot be met: what is kept is kept with its scale, the gradient goes the same way, the share is right, and the mask is one of
    the noise's shape. Keras's own layer is asked what it makes of what it keeps and drops."""
    x, y, rate = arrays["x0"], arrays["y"], case["config"].get("rate", case["config"].get("drop_path_rate"))
    precision = "float32" if case["class"] == "StochasticDepth" else "float64"  # whose random numbers are float32 always
    layer = layer_class(case["class"]).from_config(dict(case["config"], name="layer", dtype=precision))
    theirs = np.asarray(layer(np.ones((64, *x.shape[1:])), training=True))
    dropped, kept_one = (theirs.min(), theirs.max()) if rate < 1 else (0, 0)
    slope = np.asarray(layer(np.full((64, *x.shape[1:]), 2.0), training=True)).max() - kept_one if rate < 1 else 0
    kept = np.abs(y - dropped) > 2.0**-20
    worst = max(difference(y, np.where(kept, (x - 1) * slope + kept_one, dropped)), difference(arrays["dx0"], np.where(kept, arrays["dy"] * slope, 0)))
    oracle.check(f"{name} scale (a float32) and gradient of what is kept", worst, 2.0**-23)
    noise = noise_of(case, x.shape)
    mask = kept[tuple(slice(0, n) for n in noise)]
    oracle.check_that(f"{name} one draw for each of {noise}", np.array_equal(np.broadcast_to(mask, x.shape), kept))
    theirs_noise = np.abs(theirs - dropped) > 2.0**-20 if rate < 1 else np.zeros(theirs.shape, bool)
    wanted = tuple(1 if n == 1 and s != 1 else t for n, s, t in zip(noise, x.shape, theirs.shape))
    oracle.check_that(f"{name} as Keras's", np.array_equal(np.broadcast_to(theirs_noise[tuple(slice(0, n) for n in wanted)], theirs.shape), theirs_noise))
    deviation = np.sqrt(rate * (1 - rate) / mask.size)
    off = abs(mask.mean() - (1 - rate))
    oracle.check(f"{name} share kept, in standard deviations", off / deviation if deviation else off, 4)


def philox_units(samples):
    """The numbers in [0, 1) that the library draws for each sample of a batch: Philox4x32-10 of dump_ops's seed (5, 6), stream 3 and step 7, 24 bits."""
    low = lambda a: a & np.uint64(0xFFFFFFFF)
    c = [np.arange(samples, dtype=np.uint64), *(np.full(samples, v, np.uint64) for v in (3, 7, 0))]
    k0, k1 = np.uint64(5), np.uint64(6)
    for _ in range(10):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(b >> np.uint64(32)) ^ c[1] ^ k0, low(b), (a >> np.uint64(32)) ^ c[3] ^ k1, low(a)]
        k0, k1 = low(k0 + np.uint64(0x9E3779B9)), low(k1 + np.uint64(0xBB67AE85))
    return (np.stack(c, axis=-1) >> np.uint64(8)) / 2.0**24


def philox_normals(count):
    """The normal numbers of the first elements of a batch: Box and Muller's transform of two of those numbers at a time."""
    u = philox_units(-(-count // 4)).reshape(-1, 2)
    radius = np.sqrt(-2 * np.log(u[:, 0] + 2.0**-24))
    return np.stack([radius * np.cos(2 * np.pi * u[:, 1]), radius * np.sin(2 * np.pi * u[:, 1])], axis=-1).ravel()[:count]


def check_picture(name, case, arrays):
    """Keras's own layer, whose draws are replaced by the library's numbers in [0, 1): the k-th draw of a call takes the k-th number of each sample, or of
    the first one where a draw is for the whole batch. Keras computes positions in float32, where a rounding moves a picture of random pixels by 1e-6."""
    x, drawn = tf.constant(arrays["x0"], tf.float32), []

    def uniform(shape, minval=0.0, maxval=1.0, dtype=None, seed=None):
        u = philox_units(len(arrays["x0"]))[:, len(drawn)]
        drawn.append(u)
        u = u.reshape(shape) if len(shape) else u[0]
        return tf.constant(minval + u * (maxval - minval), tf.float32)

    def normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
        return tf.constant(mean + stddev * philox_normals(int(np.prod(shape))).reshape(shape), tf.float32)

    layer = layer_class(case["class"]).from_config(dict(case["config"], name="layer"))
    kept = tensorflow_random.uniform, tensorflow_random.normal
    tensorflow_random.uniform, tensorflow_random.normal = uniform, normal
    try:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
            total = tf.reduce_sum(y * tf.constant(arrays["dy"], tf.float32))
    finally:
        tensorflow_random.uniform, tensorflow_random.normal = kept
    oracle.check(f"{name} with the same draws", difference(arrays["y"], y), 1e-5)
    if "dx0" in arrays:
        oracle.check(f"{name} gradient with the same draws", difference(arrays["dx0"], tape.gradient(total, x)), 1e-5)


def check_window(name, case, arrays):
    """The layers that cut and resize without a draw. TensorFlow resizes in float32. Keras 3.15's RandomCrop does not crop in inference (its output has another
    shape than it says); tf_keras's does what both document."""
    module = tf_keras if case["class"] == "RandomCrop" else keras
    layer = getattr(module.layers, case["class"]).from_config(dict(case["config"], name="layer", dtype="float32"))
    arguments = {"training": case["training"]} if case["class"] == "RandomCrop" else {}
    oracle.check(name, difference(arrays["y"], layer(tf.constant(arrays["x0"], tf.float32), **arguments)), 2.0**-21)


def check_case(case, arrays):
    name = f"{case['class']} {case['case']}{' training' if case['training'] else ''}"
    if case["class"] in DROPPING and case["training"]:
        return check_dropout(name, case, arrays)
    if case["class"] in PICTURES and case["training"]:
        return check_picture(name, case, arrays)
    if case["class"] in WINDOWS:
        return check_window(name, case, arrays)
    inputs = [tf.constant(arrays[key]) for key in arrays if key[0] == "x"]
    variables = {key[2:]: value for key, value in arrays.items() if key.startswith("w:")}
    layer = build(case, inputs, variables)
    y, dx, dw = compute(layer, case, inputs, tf.constant(arrays["dy"]))
    theirs = {"y": y, **{f"dx{i}": v for i, v in enumerate(dx)}}
    theirs.update({f"dw:{'gamma' if case['class'] == 'LayerScale' else v.name}": g for v, g in zip(layer.trainable_variables, dw)})
    theirs.update({f"after:{v.name}": v.value for v in layer.non_trainable_variables})
    given = [key for key in arrays if key not in ("dy", *[f"x{i}" for i in range(len(inputs))]) and not key.startswith("w:")]
    absent = {"dx0": case["class"] in GRADIENTLESS, **{key: not case["training"] for key in theirs if key.startswith("after:")}}
    missing = [key for key in theirs if key not in given and not absent.get(key)]
    worst = max((difference(arrays[key], theirs[key]), key) for key in given)
    bound = BOUND_FLOAT_CONSTANTS if case["activation"] and case["activation"]["name"].startswith("gelu") else BOUND
    if case["config"].get("interpolation") == "bilinear":
        bound = BOUND_FLOAT_RESIZE
    oracle.check(name, np.inf if missing else worst[0], bound, f"({', '.join(given)}; worst {worst[1]})" if not missing else f"missing: {missing}")


def main():
    with tempfile.NamedTemporaryFile() as out:
        cases = oracle.lines(oracle.run(sys.argv[1], out.name))
        raw, at = np.fromfile(out.name, np.float64), 0
    for case in cases:
        arrays, at = oracle.read_arrays(raw, case["arrays"], np.float64, at)
        check_case(case, arrays)
    classes = {case["class"] for case in cases}
    oracle.check_that("every operation has cases", classes == set(ALL), " ".join(sorted(classes ^ set(ALL))))
    kinds = {case["activation"]["name"] for case in cases if case["class"] == "Activation"}
    oracle.check_that("every activation has cases", kinds == set(ACTIVATIONS), " ".join(sorted(kinds ^ set(ACTIVATIONS))))
    oracle.finish()


if __name__ == "__main__":
    main()
