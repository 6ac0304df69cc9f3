"""T2: VGG16 on pictures that lie in memory as arrays: feature extraction, then fine-tuning, and what keeps it from forgetting.

t2_vgg16.py TRAIN TEST WEIGHTS EPOCHS OUTPUT.keras

TRAIN and TEST have a folder of pictures for each class; WEIGHTS is "imagenet", "random", or a weights file.
"""

import sys

import keras
import numpy as np
from keras import layers
from keras.applications.vgg16 import VGG16, preprocess_input

train_folder, test_folder, weights, epochs, output = sys.argv[1:]
weights = None if weights == "random" else weights
epochs = int(epochs)


def load(folder):
    dataset = keras.utils.image_dataset_from_directory(
        folder, label_mode="categorical", image_size=(224, 224)
    )
    images, labels = zip(*dataset)
    return preprocess_input(np.concatenate(images)), np.concatenate(labels)


X_train, y_train = load(train_folder)
X_test, y_test = load(test_folder)
classes = y_train.shape[1]

# T2.1: the base frozen, Flatten and two Dense on it.
base = VGG16(weights=weights, include_top=False, input_shape=(224, 224, 3))
base.trainable = False
model = keras.Sequential(
    [
        base,
        layers.Flatten(),
        layers.Dense(256, activation="relu"),
        layers.Dense(classes, activation="softmax"),
    ]
)
model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
model.fit(X_train, y_train, epochs=epochs, validation_data=(X_test, y_test))

# T2.2: the base's last three layers too, with a small learning rate.
base.trainable = True
for layer in base.layers[:-3]:
    layer.trainable = False
model.compile(
    optimizer=keras.optimizers.Adam(1e-4),
    loss="categorical_crossentropy",
    metrics=["accuracy"],
)
model.fit(X_train, y_train, epochs=epochs, validation_data=(X_test, y_test))
print("Flatten: loss {:.4f}, accuracy {:.4f}".format(*model.evaluate(X_test, y_test)))

# T2.3: global average pooling in place of Flatten; T2.4: dropout, L2, weight decay, and a learning rate that falls to zero.
base.trainable = False
model = keras.Sequential(
    [
        base,
        layers.GlobalAveragePooling2D(),
        layers.Dense(
            256, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-4)
        ),
        layers.Dropout(0.5),
        layers.Dense(classes, activation="softmax"),
    ]
)
steps = epochs * -(-len(X_train) // 32)
model.compile(
    optimizer=keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(1e-3, steps), weight_decay=1e-4
    ),
    loss="categorical_crossentropy",
    metrics=["accuracy"],
)
model.fit(X_train, y_train, epochs=epochs, validation_data=(X_test, y_test))
print(
    "GlobalAveragePooling2D: loss {:.4f}, accuracy {:.4f}".format(
        *model.evaluate(X_test, y_test)
    )
)
model.save(output)
