"""T3: VGG16 taken apart: cut in the middle, and two of its layers replaced by one.

t3_vgg_layers.py TRAIN TEST WEIGHTS EPOCHS CUT.keras SPLICED.keras

TRAIN and TEST have a folder of pictures for each class; WEIGHTS is "imagenet", "random", or a weights file.
"""

import sys

import keras
from keras import layers
from keras.applications.vgg16 import VGG16, preprocess_input
from keras.applications.vgg19 import VGG19

train_folder, test_folder, weights, epochs, cut, spliced = sys.argv[1:]
weights = None if weights == "random" else weights

# T3.1: with the classifier, which wants 224x224; without it, for any size; for one size; and VGG19.
VGG16(weights=None).summary()
VGG16(weights=None, include_top=False).summary()
VGG19(weights=None).summary()
inputs = keras.Input((160, 160, 3))
vgg = VGG16(weights=weights, include_top=False, input_tensor=inputs)
vgg.summary()

train = keras.utils.image_dataset_from_directory(train_folder, image_size=(160, 160))
test = keras.utils.image_dataset_from_directory(test_folder, image_size=(160, 160))
classes = len(train.class_names)
train = train.map(lambda x, y: (preprocess_input(x), y))
test = test.map(lambda x, y: (preprocess_input(x), y))

# T3.2: new layers on block2_pool.
x = vgg.get_layer("block2_pool").output
x = layers.Conv2D(64, (3, 3), activation="relu")(x)
x = layers.MaxPooling2D((2, 2))(x)
x = layers.Flatten()(x)
x = layers.Dense(256, activation="relu")(x)
x = layers.Dropout(0.5)(x)
x = layers.Dense(classes, activation="softmax")(x)
model = keras.Model(inputs, x)
for layer in model.layers[:7]:
    layer.trainable = False
model.compile(
    optimizer="rmsprop", loss="sparse_categorical_crossentropy", metrics=["accuracy"]
)
model.fit(train, epochs=int(epochs), validation_data=test)
model.save(cut)

# T3.3: block1_conv1 and block1_conv2 replaced by new_conv; every later layer put back, with its weights, frozen.
x = layers.Conv2D(64, (5, 5), padding="same", name="new_conv")(inputs)
for layer in vgg.layers[3:]:
    layer.trainable = False
    x = layer(x)
model = keras.Model(inputs, x)
model.summary()

x = layers.GlobalAveragePooling2D()(x)
x = layers.Dense(classes, activation="softmax")(x)
model = keras.Model(inputs, x)
model.compile(
    optimizer="rmsprop", loss="sparse_categorical_crossentropy", metrics=["accuracy"]
)
model.fit(train, epochs=int(epochs), validation_data=test)
model.save(spliced)
