"""T3.4, ResNet: shortcuts, so it is cut between blocks only; BatchNormalization stays in inference mode while its block trains.

family_resnet.py TRAIN TEST WEIGHTS EPOCHS OUTPUT.keras
"""

import sys

import keras
from keras import layers
from keras.applications.resnet import ResNet50, preprocess_input

train_folder, test_folder, weights, epochs, output = sys.argv[1:]
weights = None if weights == "random" else weights

# Caffe's preprocessing; the second version, ResNet50V2, takes values from -1 to 1 instead.
train = keras.utils.image_dataset_from_directory(train_folder, image_size=(224, 224))
test = keras.utils.image_dataset_from_directory(test_folder, image_size=(224, 224))
classes = len(train.class_names)
train = train.map(lambda x, y: (preprocess_input(x), y))
test = test.map(lambda x, y: (preprocess_input(x), y))

# The base is called with training=False: its moving statistics stay as ImageNet left them, in both phases.
base = ResNet50(weights=weights, include_top=False, input_shape=(224, 224, 3))
base.trainable = False
inputs = keras.Input((224, 224, 3))
x = base(inputs, training=False)
x = layers.GlobalAveragePooling2D()(x)
x = layers.Dense(classes, activation="softmax")(x)
model = keras.Model(inputs, x)
model.compile(
    optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"]
)
model.fit(train, epochs=int(epochs), validation_data=test)

# Then the last stage.
base.trainable = True
for layer in base.layers:
    layer.trainable = layer.name.startswith("conv5")
model.compile(
    optimizer=keras.optimizers.Adam(1e-5),
    loss="sparse_categorical_crossentropy",
    metrics=["accuracy"],
)
model.fit(train, epochs=int(epochs), validation_data=test)
model.save(output)
