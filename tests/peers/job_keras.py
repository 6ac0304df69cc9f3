"""The tutorials' job in Keras: a new head on a frozen base of random weights, ten epochs with validation on folders of pictures, the model saved. Prints a JSON
line. With --features the base's output is computed once by hand (predict) and the head is fitted on it, as a careful user writes it.

    python job_keras.py vgg16 150 flatten-256 TRAIN VALIDATION OUTPUT [--epochs 10] [--features]
"""
import argparse
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
import tensorflow as tf

NETWORKS = {"vgg16": ("VGG16", "vgg16"), "resnet50": ("ResNet50", "resnet50"), "inceptionv3": ("InceptionV3", "inception_v3")}


def head_layers(head, classes):
    layers = keras.layers
    last = layers.Dense(classes, activation="softmax")
    return {
        "gap": [layers.GlobalAveragePooling2D(), layers.Dropout(0.2), last],
        "gap-128": [layers.GlobalAveragePooling2D(), layers.Dense(128, activation="relu"), last],
        "flatten-256": [layers.Flatten(), layers.Dense(256, activation="relu"), last],
    }[head]


def pictures(folder, size, preprocess, shuffle):
    data = keras.utils.image_dataset_from_directory(folder, image_size=(size, size), batch_size=32, seed=1, shuffle=shuffle, verbose=0)
    return data.map(lambda x, y: (preprocess(x), y)).prefetch(tf.data.AUTOTUNE)


def features(base, data):
    labels, outputs = [], []
    for x, y in data:
        outputs.append(base.predict_on_batch(x))
        labels.append(y)
    return np.concatenate(outputs), np.concatenate(labels)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("network", choices=sorted(NETWORKS))
    parser.add_argument("size", type=int)
    parser.add_argument("head", choices=["gap", "gap-128", "flatten-256"])
    parser.add_argument("train")
    parser.add_argument("validation")
    parser.add_argument("output")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--features", action="store_true")
    options = parser.parse_args()

    keras.utils.set_random_seed(1)
    name, module = NETWORKS[options.network]
    base = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(options.size, options.size, 3))
    base.trainable = False
    preprocess = getattr(keras.applications, module).preprocess_input
    train = pictures(options.train, options.size, preprocess, True)
    validation = pictures(options.validation, options.size, preprocess, False)
    layers = head_layers(options.head, len(os.listdir(options.train)))
    model = keras.Sequential([base, *layers])
    trained = keras.Sequential([keras.Input(base.output_shape[1:]), *layers]) if options.features else model
    trained.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    if options.features:
        x, y = features(base, train)
        history = trained.fit(x, y, epochs=options.epochs, batch_size=32, validation_data=features(base, validation), verbose=0)
    else:
        history = trained.fit(train, epochs=options.epochs, validation_data=validation, verbose=0)
    model.save(options.output)
    print(json.dumps({"network": options.network, "val_accuracy": history.history["val_accuracy"][-1]}))


main()
