"""T1: InceptionV3 frozen, with a new classifier.

t1_inception.py TRAIN TEST WEIGHTS EPOCHS OUTPUT.keras

TRAIN and TEST have a folder of pictures for each class; WEIGHTS is "imagenet", "random", or a weights file.
"""

import sys

import keras
from keras.applications.inception_v3 import InceptionV3, preprocess_input
from keras.layers import Dense, GlobalAveragePooling2D

train_folder, test_folder, weights, epochs, output = sys.argv[1:]
weights = None if weights == "random" else weights

train = keras.utils.image_dataset_from_directory(
    train_folder, label_mode="categorical", image_size=(299, 299)
)
test = keras.utils.image_dataset_from_directory(
    test_folder, label_mode="categorical", image_size=(299, 299)
)
classes = len(train.class_names)
train = train.map(lambda x, y: (preprocess_input(x), y))
test = test.map(lambda x, y: (preprocess_input(x), y))

# T1.1: the network without its classifier, every layer frozen.
base = InceptionV3(weights=weights, include_top=False, input_shape=(299, 299, 3))
for layer in base.layers:
    layer.trainable = False

# T1.2: new layers on its output.
x = GlobalAveragePooling2D()(base.output)
x = Dense(128, activation="relu")(x)
outputs = Dense(classes, activation="softmax")(x)
model = keras.Model(base.input, outputs)

# T1.3: training.
model.compile(
    optimizer=keras.optimizers.Adam(),
    loss="categorical_crossentropy",
    metrics=["accuracy"],
)
history = model.fit(train, epochs=int(epochs), validation_data=test)
print("val_accuracy:", history.history["val_accuracy"][-1])
model.save(output)
