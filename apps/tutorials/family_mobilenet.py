"""T3.4, MobileNet: made for small devices. Its width (alpha) and the pictures' size are chosen; pooling belongs to the network.

family_mobilenet.py TRAIN TEST WEIGHTS EPOCHS OUTPUT.keras
"""

import sys

import keras
from keras import layers
from keras.applications.mobilenet_v2 import MobileNetV2, preprocess_input

train_folder, test_folder, weights, epochs, output = sys.argv[1:]
weights = None if weights == "random" else weights

# Values from -1 to 1; official weights are there for 96, 128, 160, 192 and 224 pixels.
train = keras.utils.image_dataset_from_directory(train_folder, image_size=(96, 96))
test = keras.utils.image_dataset_from_directory(test_folder, image_size=(96, 96))
classes = len(train.class_names)
train = train.map(lambda x, y: (preprocess_input(x), y))
test = test.map(lambda x, y: (preprocess_input(x), y))

# A third of the width: 410,208 parameters where the whole network has 2,257,984.
base = MobileNetV2(
    weights=weights,
    include_top=False,
    input_shape=(96, 96, 3),
    alpha=0.35,
    pooling="avg",
)
base.trainable = False
x = layers.Dense(classes, activation="softmax")(base.output)
model = keras.Model(base.input, x)
model.compile(
    optimizer="rmsprop", loss="sparse_categorical_crossentropy", metrics=["accuracy"]
)
model.fit(train, epochs=int(epochs), validation_data=test)

# Then the layers from the hundredth on, with a tenth of the learning rate.
base.trainable = True
for layer in base.layers[:100]:
    layer.trainable = False
model.compile(
    optimizer=keras.optimizers.RMSprop(1e-4),
    loss="sparse_categorical_crossentropy",
    metrics=["accuracy"],
)
model.fit(train, epochs=int(epochs), validation_data=test)
model.save(output)
