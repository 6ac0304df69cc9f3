"""T0: networks trained on ImageNet, asked and then trained on.

t0_pretrained.py PICTURES TRAIN WEIGHTS EPOCHS OUTPUT.keras

PICTURES is a folder of pictures to classify; TRAIN has a folder of pictures for each class; WEIGHTS is "imagenet" or "random".
"""

import sys

import keras
from keras import applications, layers

pictures, train_folder, weights, epochs, output = sys.argv[1:]
weights = None if weights == "random" else weights

# T0.1, T0.2: networks with their classifiers, each asked with pictures of its own size and preprocessing.
for network, module, size in [
    (applications.VGG16, applications.vgg16, 224),
    (applications.ResNet50, applications.resnet50, 224),
    (applications.InceptionV3, applications.inception_v3, 299),
]:
    model = network(weights=weights)
    images = keras.utils.image_dataset_from_directory(
        pictures, labels=None, image_size=(size, size), shuffle=False
    )
    scores = model.predict(images.map(module.preprocess_input))
    for path, top in zip(images.file_paths, module.decode_predictions(scores, top=3)):
        print(
            f"{model.name}: {path}: "
            + ", ".join(f"{label} {score:.4f}" for _, label, score in top)
        )

# T0.3: the first ten layers frozen, new ones on top.
train = keras.utils.image_dataset_from_directory(train_folder, image_size=(224, 224))
classes = len(train.class_names)
train = train.map(lambda x, y: (applications.vgg16.preprocess_input(x), y))

base = applications.VGG16(weights=weights, include_top=False, input_shape=(224, 224, 3))
for layer in base.layers[:10]:
    layer.trainable = False
x = layers.Flatten()(base.output)
x = layers.Dense(256, activation="relu")(x)
x = layers.Dense(classes, activation="softmax")(x)
model = keras.Model(base.input, x)

model.compile(
    optimizer=keras.optimizers.Adam(1e-5),
    loss="sparse_categorical_crossentropy",
    metrics=["accuracy"],
)
model.fit(train, epochs=int(epochs))
model.save(output)
