"""Keras on TensorFlow's CPU: a network without its top, with global average pooling and Dense 10, forward (a warmed tf.function), one step that trains the
head alone, one whole step (train_on_batch, Adam). Prints a JSON line per pass, as `tlvk bench --json`.

    python speed_keras.py NETWORK [--batch-size 8] [--image-size 224] [--passes forward,head,step] [--repeats 5]

growth_bytes is how much the process grew at most since TensorFlow was imported.
"""
import argparse
import json
import os
import resource
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
import tensorflow as tf

NETWORKS = {"vgg16": "VGG16", "resnet50": "ResNet50", "inceptionv3": "InceptionV3", "xception": "Xception", "mobilenet": "MobileNet"}
WARM_RUNS = 2


def resident_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def network(name, size, frozen):
    base = getattr(keras.applications, NETWORKS[name])(weights=None, include_top=False, pooling="avg", input_shape=(size, size, 3))
    base.trainable = not frozen
    model = keras.Model(base.input, keras.layers.Dense(10, activation="softmax")(base.output))
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def run_of(model, which, x, y):
    if which != "forward":
        return lambda: model.train_on_batch(x, y)
    forward = tf.function(lambda pictures: model(pictures, training=False))
    pictures = tf.constant(x)
    return lambda: forward(pictures).numpy()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("network", choices=sorted(NETWORKS))
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--passes", default="forward,head,step")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()

    numbers = np.random.default_rng(1)
    x = numbers.random((options.batch_size, options.image_size, options.image_size, 3), dtype=np.float32)
    y = np.arange(options.batch_size, dtype=np.float32) % 10
    before = resident_bytes()
    for which in options.passes.split(","):
        run = run_of(network(options.network, options.image_size, which == "head"), which, x, y)
        times = []
        for i in range(WARM_RUNS + options.repeats):
            began = time.perf_counter()
            run()
            times.append((time.perf_counter() - began) * 1e3)
        times = sorted(times[WARM_RUNS:])
        keras.backend.clear_session()
        print(json.dumps({
            "case": f"{options.network} {which}", "network": options.network, "pass": which, "ms_min": times[0], "ms_median": times[len(times) // 2],
            "images_per_s": options.batch_size / times[0] * 1e3, "growth_bytes": resident_bytes() - before,
        }), flush=True)


main()
