"""T3.4, Inception: branches that are concatenated. Places to cut are the mixed layers; layers are frozen by number, as Keras's guide does.

family_inception.py TRAIN TEST WEIGHTS EPOCHS OUTPUT.keras
"""

import sys

import keras
from keras import layers
from keras.applications.inception_v3 import InceptionV3, preprocess_input

train_folder, test_folder, weights, epochs, output = sys.argv[1:]
weights = None if weights == "random" else weights

# Values from -1 to 1, and 299x299 pixels where the other networks have 224x224.
train = keras.utils.image_dataset_from_directory(train_folder, image_size=(299, 299))
test = keras.utils.image_dataset_from_directory(test_folder, image_size=(299, 299))
classes = len(train.class_names)
train = train.map(lambda x, y: (preprocess_input(x), y))
test = test.map(lambda x, y: (preprocess_input(x), y))

base = InceptionV3(weights=weights, include_top=False, input_shape=(299, 299, 3))
base.trainable = False
x = layers.GlobalAveragePooling2D()(base.output)
x = layers.Dense(1024, activation="relu")(x)
x = layers.Dense(classes, activation="softmax")(x)
model = keras.Model(base.input, x)
model.compile(
    optimizer="rmsprop", loss="sparse_categorical_crossentropy", metrics=["accuracy"]
)
model.fit(train, epochs=int(epochs), validation_data=test)

# Then the last two Inception blocks: the layers behind mixed8.
base.trainable = True
for layer in base.layers[:249]:
    layer.trainable = False
optimizer = keras.optimizers.SGD(1e-4, momentum=0.9)
model.compile(
    optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"]
)
model.fit(train, epochs=int(epochs), validation_data=test)
model.save(output)
