"""T3.4, Xception: separable convolutions. Scaling is a layer of the model, so that its users need none; one unit for two classes.

family_xception.py TRAIN TEST WEIGHTS EPOCHS OUTPUT.keras
"""

import sys

import keras
from keras import layers

train_folder, test_folder, weights, epochs, output = sys.argv[1:]
weights = None if weights == "random" else weights

train = keras.utils.image_dataset_from_directory(train_folder, image_size=(150, 150))
test = keras.utils.image_dataset_from_directory(test_folder, image_size=(150, 150))

base = keras.applications.Xception(
    weights=weights, include_top=False, input_shape=(150, 150, 3)
)
base.trainable = False
inputs = keras.Input((150, 150, 3))
x = layers.Rescaling(1 / 127.5, offset=-1)(inputs)
x = base(x, training=False)
x = layers.GlobalAveragePooling2D()(x)
x = layers.Dropout(0.2)(x)
x = layers.Dense(1, activation="sigmoid")(x)
model = keras.Model(inputs, x)
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
model.fit(train, epochs=int(epochs), validation_data=test)

# Then everything, with a very small learning rate.
base.trainable = True
model.compile(
    optimizer=keras.optimizers.Adam(1e-5),
    loss="binary_crossentropy",
    metrics=["accuracy"],
)
model.fit(train, epochs=int(epochs), validation_data=test)
model.save(output)
