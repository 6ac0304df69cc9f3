"""The same fine-tuning job in Keras, for comparison: a Teachable Machine file cut at a layer, a new head, ten epochs; then a second phase with more
layers unfrozen. Prints one JSON line with accuracies and seconds: whole process, fit of the head, fit of the second phase, and the second phase's curves.

    python finetune_keras.py MODEL.h5 TRAIN VALIDATION [--seed N] [--cut out_relu] [--then 100] [--epochs 10] [--features] [--output FILE]
                             [--batch-norm train --keras 3]

--features: the base's output is computed once by hand and the head is fitted on it. --output: the model is saved after the first phase.

--batch-norm inference (the default) is base(x, training=False) and wants tf_keras: Keras 3.15's fit runs such a base in training mode all the same.
"""
import time

BEGAN = time.perf_counter()

import argparse
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import sys

import numpy as np
import tensorflow as tf
import tf_keras

if sys.argv[-2:] == ["--keras", "3"]:
    import keras
else:
    keras = tf_keras


class DepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """Keras 3 refuses the groups=1 that older files carry."""

    def __init__(self, *args, groups=1, **kwargs):
        assert groups == 1
        super().__init__(*args, **kwargs)


def pictures(folder, size, seed, shuffle):
    data = tf_keras.utils.image_dataset_from_directory(folder, image_size=size, batch_size=32, seed=seed, shuffle=shuffle)
    return data.map(lambda x, y: (x / 127.5 - 1.0, y)).prefetch(tf.data.AUTOTUNE)


def extractor(model):
    """The innermost model with the most layers, whose layers the slice counts."""
    inner = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    best = max(inner, key=lambda m: m.count_params(), default=None)
    return extractor(best) if best is not None else model


def features(base, data):
    labels, outputs = [], []
    for x, y in data:
        outputs.append(base.predict_on_batch(x))
        labels.append(y)
    return np.concatenate(outputs), np.concatenate(labels)


def fit_features(base, head, train, validation, epochs):
    """The head alone on what the base makes of each picture, and its layers stay those of the whole model."""
    alone = keras.Sequential([keras.Input(base.output_shape[1:]), *head])
    alone.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = features(base, train)
    return alone.fit(x, y, batch_size=32, epochs=epochs, validation_data=features(base, validation), verbose=0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("train")
    parser.add_argument("validation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cut", default="out_relu")
    parser.add_argument("--then", type=int, default=0, help="first layer of the second phase, from the end where negative; 0: none")
    parser.add_argument("--then-rate", type=float, default=1e-5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--features", action="store_true")
    parser.add_argument("--output")
    parser.add_argument("--batch-norm", choices=["inference", "train"], default="inference")
    parser.add_argument("--keras", choices=["2", "3"], default="2", help="given last")
    options = parser.parse_args()

    keras.utils.set_random_seed(options.seed)
    network = extractor(keras.models.load_model(options.model, custom_objects={"DepthwiseConv2D": DepthwiseConv2D}, compile=False))
    base = keras.Model(network.inputs, network.get_layer(options.cut).output)
    base.trainable = False
    size = base.input_shape[1:3]
    train = pictures(options.train, size, options.seed, True)
    validation = pictures(options.validation, size, options.seed, False)
    classes = len(os.listdir(options.validation))

    x = inputs = keras.Input(base.input_shape[1:])
    x = base(x, training=False) if options.batch_norm == "inference" else base(x)
    head = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dropout(0.2), keras.layers.Dense(classes, activation="softmax")]
    for layer in head:
        x = layer(x)
    model = keras.Model(inputs, x)
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    began = time.perf_counter()
    if options.features:
        history = fit_features(base, head, train, validation, options.epochs)
    else:
        history = model.fit(train, epochs=options.epochs, validation_data=validation, verbose=0)
    head_seconds = time.perf_counter() - began
    until_head = time.perf_counter() - BEGAN
    result = {"val_accuracy": history.history["val_accuracy"][-1], "fit_seconds": head_seconds, "process_seconds": until_head}
    if options.output:
        model.save(options.output)
    if options.then:
        base.trainable = True
        for layer in base.layers[: options.then]:
            layer.trainable = False
        model.compile(keras.optimizers.Adam(options.then_rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
        began = time.perf_counter()
        history = model.fit(train, epochs=5, validation_data=validation, verbose=0)
        result["then_seconds"] = time.perf_counter() - began
        result["then_val_accuracy"] = history.history["val_accuracy"][-1]
        result["then"] = history.history
    print(json.dumps(result))


main()
