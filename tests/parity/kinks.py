"""Weights whose gradients can be compared: where a ReLU takes the other side of its kink because of the last bit, a gradient jumps, and with millions of
them some always do. So BatchNormalization (or biases, where there is none) shifts what goes into each ReLU by SHIFT, SPREAD wide: most channels
up, a quarter of those that nothing else reads down, so that both sides are taken, and hardly a value lies at 0 or 6."""
from nets import inner

import numpy as np

SHIFT, SPREAD, DOWN = 3.0, 0.6, 0.25


def kind(layer):
    """The activation that a layer is or ends with: "relu", "hard_silu", ... or None."""
    if type(layer).__name__ == "ReLU":
        return "relu"
    name = getattr(getattr(layer, "activation", None), "__name__", None)
    return "relu" if name == "relu6" else name


def readers(layer):
    return [node.operation for node in layer._outbound_nodes]


def shift_norms(norms, rng):
    for layer in norms:
        values = layer.get_weights()
        kinds = {kind(reader) for reader in readers(layer)}
        down = rng.random(values[0].shape) < (DOWN if kinds == {"relu"} else 0)
        shift = 0.0 if "hard_silu" in kinds else SHIFT  # which has its kinks at -3 and 3
        new = {"gamma": SPREAD * (1 + 0.1 * rng.normal(size=down.shape)), "beta": np.where(down, -shift, shift) + 0.1 * rng.normal(size=down.shape)}
        layer.set_weights([new.get(w.name, v) for w, v in zip(layer.weights, values)])


def take_statistics(model, norms, x, rng):
    """Moving statistics of the pictures, then moved a little."""
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    model(x, training=True)
    for layer, momentum in zip(norms, momenta):
        layer.momentum = momentum
        *rest, mean, variance = layer.get_weights()
        mean = mean + 0.1 * np.sqrt(variance) * rng.normal(size=mean.shape)
        layer.set_weights([*rest, mean, (variance + 1e-3) * np.exp(0.1 * rng.normal(size=variance.shape))])


def shift_biases(model, x, rng):
    """Of a chain of layers without BatchNormalization: each kernel and bias by what the pictures give there. Kernels sum to zero over the channels
    that are up: else the shift itself, which padding cuts off at the edges, would hide the pictures."""
    up = None
    for layer in model.layers[1:]:
        if len(layer.weights) == 2:
            kernel, bias = layer.get_weights()
            if up is not None:
                kernel = kernel - kernel[..., up, :].mean(-2, keepdims=True)
            layer.set_weights([kernel, 0 * bias])
        if kind(layer) == "relu":
            y = linear(layer, x)
            axes = tuple(range(y.ndim - 1))
            scale = SPREAD / (y.std(axes) + 1e-6)
            up = rng.random(bias.shape) >= DOWN
            layer.set_weights([kernel * scale, np.where(up, SHIFT, -SHIFT) - y.mean(axes) * scale])
        x = layer(x)
        if type(layer).__name__ == "Flatten":
            up = np.tile(up, x.shape[-1] // up.size)


def linear(layer, x):
    """What the layer gives before its activation."""
    activation, layer.activation = layer.activation, None
    y = np.asarray(layer(x), np.float64)
    layer.activation = activation
    return y


def keep_away(model, x, seed):
    rng = np.random.default_rng(seed)
    norms = [layer for layer in inner(model) if type(layer).__name__ == "BatchNormalization"]
    if norms:
        shift_norms(norms, rng)
        take_statistics(model, norms, x, rng)
    elif any(kind(layer) == "relu" for layer in inner(model)):
        shift_biases(model, x, rng)
