"""Networks, pictures and labels for models.py: small nets with random weights that tell pictures apart, and copies of files in float64."""
import json

import oracle

import h5py
import keras
import numpy as np
import tf_keras

L = keras.layers


# --- data -------------------------------------------------------------------------------------------------------------------------------

def pictures(count, shape, classes, seed):
    """Gratings and blobs in (-1, 1) whose direction, width and colour go by class, and the class of each. Noise keeps neighbours different: a
    maximum that two share would go to the one or the other with the smallest change."""
    rng = np.random.default_rng(seed)
    h, w, c = shape
    label = rng.integers(0, classes, count)
    y, x = np.mgrid[0:h, 0:w] / max(h, w)
    out = np.empty((count, h, w, c))
    for i in range(count):
        angle, waves = np.pi * label[i] / classes + 0.15 * rng.normal(), 2 + label[i] % 3 + rng.random()
        grating = np.sin(2 * np.pi * (waves * (x * np.cos(angle) + y * np.sin(angle)) + rng.random()))
        blob = np.exp(-((x - rng.random()) ** 2 + (y - rng.random()) ** 2) / 0.05)
        colour = 0.5 + 0.5 * np.cos(label[i] + np.arange(c) * 2.1)
        out[i] = (0.6 * grating[..., None] * colour + 0.6 * blob[..., None] + 0.15 * rng.normal(size=shape)) / 1.2
    return np.tanh(out).astype(np.float32), label


# --- small nets ---------------------------------------------------------------------------------------------------------------------------

def small(units=4, activation="softmax", l1=0.0, l2=0.0, shape=(16, 16, 3), smooth=True):
    """A convolution, a depthwise and a separable one, each before a BatchNormalization, a short cut, pooling, Dense. Without `smooth` it has
    ReLU and maxima, where rounding may take the other side of a kink and training then goes another way."""
    regular = keras.regularizers.L1L2(l1, l2) if l1 or l2 else None
    inputs = keras.Input(shape, name="input")
    x = L.Conv2D(12, 3, strides=2, padding="same", use_bias=False, kernel_regularizer=regular, name="conv")(inputs)
    x = L.BatchNormalization(name="norm")(x)
    x = short_cut = L.Activation("elu", name="first")(x) if smooth else L.ReLU(name="first")(x)
    x = L.DepthwiseConv2D(3, padding="same", use_bias=False, depthwise_regularizer=regular, name="depthwise")(x)
    x = L.BatchNormalization(momentum=0.9, name="depthwise_norm")(x)
    x = L.Activation("tanh", name="second")(x) if smooth else L.ReLU(max_value=6.0, name="second")(x)
    x = L.Add(name="add")([x, short_cut])
    x = L.AveragePooling2D(2, name="pool")(x) if smooth else L.MaxPooling2D(2, name="pool")(x)
    x = L.SeparableConv2D(14, 3, padding="same", use_bias=False, name="separable")(x)
    x = L.Activation("swish", name="third")(L.BatchNormalization(name="separable_norm")(x))
    x = L.GlobalAveragePooling2D(name="average")(x)
    return keras.Model(inputs, L.Dense(units, activation=activation, kernel_regularizer=regular, name="head")(x), name="small")


def vgg_like(shape=(32, 32, 3), units=5, activation="relu", pooling=L.MaxPooling2D):
    inputs = keras.Input(shape, name="input")
    x = inputs
    for block, (filters, count) in enumerate(((16, 2), (24, 2), (32, 3))):
        for i in range(count):
            x = L.Conv2D(filters, 3, padding="same", activation=activation, name=f"block{block + 1}_conv{i + 1}")(x)
        x = pooling(2, name=f"block{block + 1}_pool")(x)
    x = L.Flatten(name="flatten")(x)
    x = L.Dense(48, activation=activation, name="fc1")(x)
    x = L.Dense(32, activation=activation, name="fc2")(x)
    return keras.Model(inputs, L.Dense(units, activation="softmax", name="predictions")(x), name="vgg_like")


def with_base(K, units=4, shape=(16, 16, 3), training=None):
    """A head on a nested base, called with `training`, in Keras 3 or tf_keras."""
    layers = K.layers
    inputs = K.Input(shape, name="base_input")
    x = layers.Conv2D(12, 3, strides=2, padding="same", use_bias=False, name="base_conv")(inputs)
    x = layers.Activation("swish", name="base_first")(layers.BatchNormalization(name="base_norm")(x))
    x = layers.Conv2D(16, 3, padding="valid", use_bias=False, name="base_conv_2")(x)
    x = layers.BatchNormalization(name="base_norm_2")(x)
    base = K.Model(inputs, layers.Activation("elu", name="base_out")(x), name="base")
    outer = K.Input(shape, name="input")
    x = layers.GlobalAveragePooling2D(name="average")(base(outer) if training is None else base(outer, training=training))
    return K.Model(outer, layers.Dense(units, activation="softmax", name="head")(x), name="with_base")


def inner(layer):
    """Layers at every depth, depth first in the order of model.layers."""
    for one in layer.layers:
        if hasattr(one, "layers"):
            yield from inner(one)
        else:
            yield one


def variables(model):
    """Every variable once, in the order in which dump_training numbers them."""
    seen, out = set(), []
    for layer in inner(model):
        for v in layer.weights:
            if id(v) not in seen:
                seen.add(id(v))
                out.append(v)
    return out


def settle(model, x, seed):
    """Random weights; statistics of every BatchNormalization from pictures, then moved a little, as later training would."""
    rng = np.random.default_rng(seed)
    norms = [layer for layer in inner(model) if "BatchNormalization" in type(layer).__name__]
    for layer in norms:
        gamma, beta, mean, variance = layer.get_weights()
        layer.set_weights([1 + 0.2 * rng.normal(size=gamma.shape), 0.2 * rng.normal(size=beta.shape), mean, variance])
    for layer in norms:  # in their order: each sees what those before it let through
        momentum, layer.momentum = layer.momentum, 0.0
        for whole in [model, *[one for one in model.layers if hasattr(one, "layers")]]:  # a base may be called in inference mode alone
            whole(x, training=True)
        layer.momentum = momentum
    for layer in norms:
        gamma, beta, mean, variance = layer.get_weights()
        mean = mean + 0.1 * np.sqrt(variance) * rng.normal(size=mean.shape)
        layer.set_weights([gamma, beta, mean, variance * np.exp(0.2 * rng.normal(size=variance.shape))])
    for layer in inner(model):
        if layer.get_weights() and layer not in norms and layer.get_weights()[-1].ndim == 1:
            layer.set_weights([*layer.get_weights()[:-1], 0.1 * rng.normal(size=layer.get_weights()[-1].shape)])


# --- files ----------------------------------------------------------------------------------------------------------------------------------

def in_float64(model):
    return copied(model, "float64")


def copied(model, floatx):
    """The same model computing in floatx; its weights are those of the float32 model."""
    K = keras if isinstance(model, keras.Model) else tf_keras
    copy = K.models.model_from_json(model.to_json().replace('"float32"', f'"{floatx}"'))
    copy.set_weights(model.get_weights())
    for layer in inner(copy):
        if hasattr(layer, "finalize_state"):  # Normalization takes its statistics over only then
            layer.finalize_state()
    return copy


def without_softmax(path, copy):
    """A copy of a model file whose last activation is left out, so that predictions are the logits."""
    with open(path, "rb") as whole, open(copy, "wb") as out:
        out.write(whole.read())
    with h5py.File(copy, "r+") as file:
        text = file.attrs["model_config"]
        config = json.loads(text.decode() if isinstance(text, bytes) else text)
        file.attrs["model_config"] = json.dumps(linear_end(config))
    return copy


def linear_end(config):
    """Makes every softmax (and sigmoid at the end) of a model's config linear."""
    if isinstance(config, dict):
        return {key: "linear" if key == "activation" and value in ("softmax", "sigmoid") else linear_end(value) for key, value in config.items()}
    return [linear_end(value) for value in config] if isinstance(config, list) else config
