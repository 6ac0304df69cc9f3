"""T4: cats and dogs from an archive: feature extraction against fine-tuning, each with and without augmentation.

t4_cats_and_dogs.py ARCHIVE.zip WEIGHTS EPOCHS FOLDER

ARCHIVE has the folders train and validation, each with a folder of pictures for each of two classes; WEIGHTS is "imagenet",
"random", or a weights file; FOLDER receives a model and its curves for each of the four trainings.
"""

import os
import sys
import tempfile
import zipfile

import keras
import matplotlib.pyplot as plt
from keras import layers

archive, weights, epochs, folder = sys.argv[1:]
weights = None if weights == "random" else weights

# T4.1: pictures of 150x150 with values from 0 to 1.
pets = tempfile.mkdtemp()
zipfile.ZipFile(archive).extractall(pets)


def load(name):
    dataset = keras.utils.image_dataset_from_directory(
        os.path.join(pets, name),
        labels="inferred",
        label_mode="int",
        batch_size=32,
        image_size=(150, 150),
    )
    return dataset.map(lambda image, label: (image / 255.0, label))


train, validation = load("train"), load("validation")
augmentation = keras.Sequential(
    [
        layers.RandomFlip("horizontal"),
        layers.RandomRotation(0.1),
        layers.RandomZoom(0.1),
    ]
)
augmented = train.map(lambda image, label: (augmentation(image, training=True), label))


# T4.3: the curves.
def plot(history, path):
    figure, axes = plt.subplots(1, 2, figsize=(12, 4))
    for axis, name in zip(axes, ["accuracy", "loss"]):
        axis.plot(history.history[name], label=name)
        axis.plot(history.history["val_" + name], label="val_" + name)
        axis.set_xlabel("epoch")
        axis.legend()
    figure.savefig(path)


# T4.4: four trainings of the same network.
def run(name, data, tuned):
    # T4.2: a model inside a Sequential, frozen but for what is fine-tuned.
    base = keras.applications.VGG16(
        weights=weights, include_top=False, input_shape=(150, 150, 3)
    )
    base.trainable = tuned
    for layer in base.layers[:15]:
        layer.trainable = False
    model = keras.Sequential(
        [
            base,
            layers.Flatten(),
            layers.Dense(256, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    optimizer = keras.optimizers.Adam(1e-5 if tuned else 1e-3)
    model.compile(optimizer=optimizer, loss="binary_crossentropy", metrics=["accuracy"])
    history = model.fit(data, epochs=int(epochs), validation_data=validation)
    plot(history, os.path.join(folder, name + ".png"))
    model.save(os.path.join(folder, name + ".keras"))
    print(f"{name}: val_accuracy {history.history['val_accuracy'][-1]:.4f}")


run("features", train, tuned=False)
run("features-augmented", augmented, tuned=False)
run("tuned", train, tuned=True)
run("tuned-augmented", augmented, tuned=True)
