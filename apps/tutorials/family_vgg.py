"""T3.4, VGG: a plain chain. No BatchNormalization: what is unfrozen simply trains, and any layer is a place to cut.

family_vgg.py TRAIN TEST WEIGHTS EPOCHS OUTPUT.keras
"""

import sys

import keras
from keras import layers
from keras.applications.vgg16 import VGG16, preprocess_input

train_folder, test_folder, weights, epochs, output = sys.argv[1:]
weights = None if weights == "random" else weights

# Caffe's preprocessing: blue, green, red, less the mean of ImageNet.
train = keras.utils.image_dataset_from_directory(train_folder, image_size=(128, 128))
test = keras.utils.image_dataset_from_directory(test_folder, image_size=(128, 128))
classes = len(train.class_names)
train = train.map(lambda x, y: (preprocess_input(x), y))
test = test.map(lambda x, y: (preprocess_input(x), y))

# Cut behind the fourth block: what the fifth knows is too special for pictures unlike ImageNet's.
vgg = VGG16(weights=weights, include_top=False, input_shape=(128, 128, 3))
vgg.trainable = False
x = layers.GlobalAveragePooling2D()(vgg.get_layer("block4_pool").output)
x = layers.Dropout(0.2)(x)
model = keras.Model(vgg.input, layers.Dense(classes, activation="softmax")(x))
model.compile(
    optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"]
)
model.fit(train, epochs=int(epochs), validation_data=test)

# Then the fourth block's convolutions, by plain SGD with a small learning rate.
for layer in vgg.layers:
    layer.trainable = layer.name.startswith("block4")
optimizer = keras.optimizers.SGD(1e-4, momentum=0.9)
model.compile(
    optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"]
)
model.fit(train, epochs=int(epochs), validation_data=test)
model.save(output)
