"""Keras in float64 with the rounding of float32 put in at random: every layer with a kernel is off by what a sum of as many terms as its own errs by in
float32, independently for every number of its result and of the gradient that it passes back. (One change of a weight by as much would shift all
pixels alike, which a BatchNormalization takes out again.)

A sum of K products, rounded after each, errs by about DIRECT sqrt(K) u of the sums' root mean square, u = 2^-24; made by Winograd's F(4x4, 3x3), as 3x3
convolutions of WIDE channels and more may be, by WINOGRAD sqrt(K) u (both measured in float32 for 64 to 512 channels of random numbers).

The gradient of the gamma of a BatchNormalization in inference mode is made of that of the kernel W before it (engine/plan/norm.c), as the sum of W dW over
the kernel less another sum; it is off by what those sums are, however much of them cancels."""
from kinks import readers
from nets import inner

import numpy as np
import tensorflow as tf

U, DIRECT, WINOGRAD, WIDE = 2.0**-24, 0.3, 1.2, 32


def lengths(layer):
    """Terms of the sums that a layer makes of its inputs, and of the gradient of its outputs; None of a layer without a kernel."""
    depthwise, pointwise = getattr(layer, "depthwise_kernel", None), getattr(layer, "pointwise_kernel", None)
    dense = pointwise if pointwise is not None else None if depthwise is not None else getattr(layer, "_kernel", getattr(layer, "kernel", None))
    forward = backward = 0
    if depthwise is not None:
        forward = backward = np.prod(depthwise.shape[:2])
    if dense is not None:
        *window, inputs, outputs = dense.shape
        forward, backward = forward + np.prod(window) * inputs, backward + np.prod(window) * outputs
    return (float(forward), float(backward)) if forward else None


def winograd(layer):
    kernel = getattr(layer, "kernel", None)
    plain = type(layer).__name__ == "Conv2D" and layer.groups == 1 and {*layer.strides, *layer.dilation_rate} == {1}
    return plain and tuple(kernel.shape[:2]) == (3, 3) and min(kernel.shape[2:]) >= WIDE


class Rounding:
    """Of a model, while in its `with`."""

    def __init__(self, model, seed):
        self.random, self.on, self.folded = tf.random.Generator.from_seed(seed), False, []
        for layer in inner(model):
            found = lengths(layer)
            if found:
                self.folded += [(layer, norm) for norm in readers(layer) if type(norm).__name__ == "BatchNormalization" and norm.scale]
                unit = U * (WINOGRAD if winograd(layer) else DIRECT)
                layer.call = self.around(layer.call, *(unit * k**0.5 for k in found))

    def __enter__(self):
        self.on = True

    def __exit__(self, *exception):
        self.on = False

    def add_to(self, gradients, pictures):
        """What the gradients of gamma are off by, to a step's gradients by "layer/weight", in inference mode."""
        for layer, norm in self.folded:
            last = len(layer.weights) - 1
            kernel, gradient = layer.weights[last].numpy(), gradients.get(f"{layer.name}/{last}")
            if not layer.use_bias and gradient is not None and f"{norm.name}/0" in gradients:
                channels = norm.output.shape[-1]
                terms = np.square(kernel * gradient).reshape(-1, channels)
                length = len(terms) + pictures * np.prod(norm.output.shape[1:-1])
                size = DIRECT * U * length**0.5 * np.sqrt(terms.sum(0)) / np.abs(norm.gamma.numpy())
                gradients[f"{norm.name}/0"] = gradients[f"{norm.name}/0"] + size * self.random.normal(size.shape, dtype=size.dtype).numpy()

    def off(self, t, share):
        """A channel that is mostly one large number errs by as much of that; one that cancels, by as much as what its sums are made of, as others' are."""
        squares = tf.reduce_mean(t * t, axis=range(len(t.shape) - 1))
        size = tf.sqrt(tf.maximum(squares, tf.reduce_mean(squares)))
        return t + share * size * self.random.normal(tf.shape(t), dtype=t.dtype)

    def around(self, call, forward, backward):
        @tf.custom_gradient
        def passed_back(x):
            return tf.identity(x), lambda dx: self.off(dx, backward)

        @tf.custom_gradient
        def result(y):
            return self.off(y, forward), lambda dy: dy

        def rounding_call(x, *args, **given):
            return result(call(passed_back(x), *args, **given)) if self.on else call(x, *args, **given)

        return rounding_call
