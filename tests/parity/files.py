"""Compares Keras files with Keras itself, both ways: files of Keras 3 and tf_keras are read to the same weights, and files written here open in
both with the same predictions and the same weights.

Usage: files.py DUMP_MODEL [FOLDER_OF_REAL_FILES]
DUMP_MODEL is the program built from dump_model.c. Exit status 0 when everything agrees.
"""
import os
import subprocess
import sys
import tempfile
import zipfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
import h5py
import numpy as np
import keras
import tf_keras
import logging

logging.getLogger("tensorflow").setLevel(logging.ERROR)
logging.getLogger("absl").setLevel(logging.ERROR)
KERAS = {"keras": keras, "tf_keras": tf_keras}
failures = []


def check(name, ok, detail=""):
    print(("ok      " if ok else "FAILED  ") + name, detail, flush=True)
    if not ok:
        failures.append(name)


# --- models, the same in either Keras ---

def block(k, x, filters):
    L = k.layers
    x = L.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    x = L.BatchNormalization()(x)
    return L.ReLU(6.0)(x)


def base(k, name="base"):
    i = k.layers.Input((8, 8, 3))
    x = block(k, block(k, i, 4), 4)
    return k.Model(i, x, name=name)


def sequential(k):
    L = k.layers
    return k.Sequential([L.Input((8, 8, 3)), L.Conv2D(4, 3, activation="relu"), L.MaxPooling2D(), L.BatchNormalization(scale=False), L.Flatten(),
                         L.Dropout(0.5), L.Dense(3, activation="softmax", kernel_regularizer=k.regularizers.L2(0.01))])


def every_layer(k):
    L = k.layers
    i = L.Input((16, 16, 3))
    x = L.Rescaling(1 / 127.5, offset=-1)(i)
    x = L.ZeroPadding2D(((1, 2), (0, 1)))(x)
    x = L.Conv2D(6, (3, 2), strides=(1, 2), padding="same", kernel_initializer="he_normal", activation="elu")(x)
    y = L.DepthwiseConv2D(3, padding="same", depth_multiplier=2, activation="tanh")(x)
    z = L.SeparableConv2D(12, 3, padding="same", depth_multiplier=2)(x)
    x = L.Add()([y, z])
    x = L.Multiply()([x, L.Activation("sigmoid")(z)])
    x = L.Concatenate()([x, y])
    x = L.LeakyReLU(0.1)(x) if k is tf_keras else L.LeakyReLU(negative_slope=0.1)(x)
    x = L.ELU(0.7)(x)
    x = L.Cropping2D(1)(x)
    x = L.AveragePooling2D(3, strides=1, padding="same")(x)
    x = L.BatchNormalization(momentum=0.9, epsilon=1e-5, center=False)(x)
    a = L.GlobalMaxPooling2D()(x)
    b = L.GlobalAveragePooling2D(keepdims=True)(x)
    b = L.Reshape((-1,))(b)
    x = L.Concatenate()([a, b])
    x = L.Dense(5, activation="swish")(x)
    return k.Model(i, L.Softmax()(x))


def activations(k):
    L = k.layers
    i = L.Input((4, 4, 2))
    names = "linear relu relu6 leaky_relu elu selu sigmoid tanh softmax softplus swish gelu softsign exponential".split()
    return k.Model(i, L.Concatenate()([L.Activation(n)(i) for n in names]))


def nested(k):
    L = k.layers
    b = base(k)
    i = L.Input((8, 8, 3))
    x = b(i, training=False)
    x = L.GlobalAveragePooling2D()(x)
    return k.Model(i, L.Dense(2)(x))


def nested_frozen(k):
    m = nested(k)
    m.layers[1].trainable = False
    return m


def nested_partly_frozen(k):
    m = nested(k)
    m.layers[1].layers[1].trainable = False
    m.layers[1].layers[5].trainable = False
    return m


def deep(k):
    L = k.layers
    features = k.Sequential([base(k), L.GlobalAveragePooling2D()])
    features.layers[0].layers[2].trainable = False
    head = k.Sequential([L.Input((4,)), L.Dense(3, activation="relu"), L.Dense(2, use_bias=False, activation="softmax")])
    return k.Sequential([L.Input((8, 8, 3)), features, head])


def model_called_twice(k):
    L = k.layers
    i, j = L.Input((8, 8, 3)), L.Input((8, 8, 3))
    b = base(k)
    s = k.Sequential([L.Input((8, 8, 4)), L.Conv2D(3, 1)])
    x = b(s(b(i)), training=False)
    y = s(b(j))
    return k.Model([i, j], [x, y, b(y)])


def layers_shared(k):
    L = k.layers
    c, r = L.Conv2D(3, 3, padding="same"), L.ReLU()
    i, j = L.Input((8, 8, 3)), L.Input((8, 8, 3))
    x = r(c(r(c(i))))
    y = c(j)
    z = L.Add()([x, y])
    return k.Model([j, i], [L.Flatten()(z), y])


def branches(k):
    """Branches of one shape, made in another order than they are joined: the order of layers must be Keras's own."""
    L = k.layers
    i = L.Input((8, 8, 4))
    a = [L.Conv2D(4, 1, name="branch_%d" % n)(i) for n in range(6)]
    b = [L.BatchNormalization()(a[n]) for n in (5, 2, 0)]
    x = L.Concatenate()([b[1], a[3], b[0], a[1], b[2], a[4]])
    inner = k.Model(i, x, name="inner")
    o = L.Input((8, 8, 4))
    return k.Model(o, L.Conv2D(2, 1)(inner(o)))


def arithmetic(k):
    L = k.layers
    i = L.Input((8, 8, 3))
    x = i / 127.5 - 1.0
    x = 2.0 * x + (1.0 - x)
    return k.Model(i, L.Conv2D(2, 3)(x * x + 0.5))


def modes(k):
    L = k.layers
    i = L.Input((8, 8, 3))
    x = L.Conv2D(4, 3)(i)
    x = L.BatchNormalization()(x, training=False)
    x = L.Dropout(0.5)(x, training=False)
    return k.Model(i, x)


def open_size(k):
    L = k.layers
    i = L.Input((None, None, 3))
    return k.Model(i, L.Dense(2)(L.GlobalAveragePooling2D()(L.Conv2D(4, 3, dilation_rate=2)(i))))


def compiled(k):
    m = sequential(k)
    m.compile(k.optimizers.Adam(3e-4), "sparse_categorical_crossentropy", ["accuracy"])
    return m


def keras3_activations(k):
    """What .h5 files cannot say to both Kerases, and .keras can."""
    L = k.layers
    i = L.Input((4, 4, 2))
    x = L.Concatenate()([L.Activation(n)(i) for n in ("hard_sigmoid", "hard_swish")])
    x = L.Conv2D(3, 1, activation=L.LeakyReLU(negative_slope=0.3))(x)
    x = L.Conv2D(3, 1, activation=L.ReLU(max_value=6.0, negative_slope=0.1))(x)
    return k.Model(i, L.Dense(2)(x))


MODELS = [sequential, every_layer, activations, nested, nested_frozen, nested_partly_frozen, deep, model_called_twice, layers_shared, branches, arithmetic,
          modes, open_size, compiled]


# --- comparing ---

def randomize(model):
    """Every weight another number: statistics positive, others small."""
    random = np.random.RandomState(7)
    model.set_weights([(np.abs(random.randn(*w.shape)) * 0.2 + 0.5).astype("f") for w in model.get_weights()])


def leaves(model):
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from leaves(layer)
        else:
            yield layer


def expected_lines(model):
    lines = []
    for layer in leaves(model):
        own = list(layer._trainable_variables if hasattr(layer, "_trainable_variables") else layer._trainable_weights)
        own += list(layer._non_trainable_variables if hasattr(layer, "_non_trainable_variables") else layer._non_trainable_weights)
        for v in own:
            if "seed" in v.name:
                continue
            x = np.asarray(v, "f").ravel().astype("d")
            name = v.name.split("/")[-1].split(":")[0]
            if type(layer).__name__ == "DepthwiseConv2D":
                name = name.replace("depthwise_kernel", "kernel")  # as Keras 3 calls it
            lines.append((layer.name, name, int(layer.trainable), tuple(v.shape), x.sum(), (x * (np.arange(x.size) % 1009 + 1)).sum()))
    return lines


def dump(program, path, **options):
    run = subprocess.run([program, path] + ["%s=%s" % item for item in options.items()], capture_output=True, text=True)
    if run.returncode:
        return None, run.stderr.strip()
    lines = []
    for line in run.stdout.splitlines():
        if line.startswith("#"):
            continue
        layer, name, trainable, shape, total, by_position = line.split("\t")
        lines.append((layer, name, int(trainable), tuple(int(n) for n in shape.split(",") if n), float(total), float(by_position)))
    return lines, ""


def same_lines(ours, theirs):
    close = lambda a, b: abs(a - b) <= 1e-9 * (1 + abs(a))
    return len(ours) == len(theirs) and all(a[:4] == b[:4] and close(a[4], b[4]) and close(a[5], b[5]) for a, b in zip(ours, theirs))


def first_difference(ours, theirs):
    for a, b in zip(ours, theirs):
        if not same_lines([a], [b]):
            return "%s against Keras's %s" % (a, b)
    return "%d weights against Keras's %d" % (len(ours), len(theirs))


def inputs_of(model):
    random = np.random.RandomState(3)
    xs = [random.rand(*[n or 12 if i else 2 for i, n in enumerate(x.shape)]).astype("f") for x in model.inputs]
    return xs[0] if len(xs) == 1 else xs


def outputs_of(model, xs):
    ys = model.predict(xs, verbose=0)
    return [np.asarray(y) for y in (ys if isinstance(ys, (list, tuple)) else [ys])]


def difference(a, b):
    if len(a) != len(b) or any(x.shape != y.shape for x, y in zip(a, b)):
        return float("inf")
    return max(float(np.abs(x - y).max()) for x, y in zip(a, b))


def compare_copy(name, copy, wanted, xs):
    """A file written here opens in every Keras that reads its form, and predicts the same."""
    for kind, k in KERAS.items():
        if copy.endswith(".keras") and kind == "tf_keras":
            continue  # Keras 3's own form
        label = "%s written as %s, opened by %s" % (name, os.path.splitext(copy)[1], kind)
        try:
            opened = k.models.load_model(copy)
        except Exception as e:
            check(label, False, str(e)[:300])
            continue
        worst = difference(outputs_of(opened, xs), wanted)
        check(label, worst <= 1e-5 * (1 + max(float(np.abs(y).max()) for y in wanted)), "differs by %.1e" % worst)
        if name.startswith("compiled"):
            check(label + ", its optimizer", abs(float(opened.optimizer.learning_rate.numpy()) - 3e-4) < 1e-9)


def compare_model(program, folder, make, kind, form):
    k = KERAS[kind]
    k.backend.clear_session()
    model = make(k)
    randomize(model)
    name = "%s of %s, %s" % (make.__name__, kind, form)
    path = os.path.join(folder, "in" + form)
    try:
        model.save(path)
    except Exception as e:
        print("%s does not save it: %s" % (name, str(e)[:100]))
        return
    theirs, xs = expected_lines(model), inputs_of(model)
    wanted = outputs_of(model, xs)
    for end in (".h5", ".keras"):
        if kind == "tf_keras" and form != end or make is keras3_activations and end == ".h5":
            continue
        copy = os.path.join(folder, "copy" + end)
        ours, why = dump(program, path, copy=copy)
        if ours is None:
            check(name + " read", False, why)
            return
        check(name + " read", same_lines(ours, theirs), "" if same_lines(ours, theirs) else first_difference(ours, theirs))
        compare_copy(name, copy, wanted, xs)
        again, why = dump(program, copy)
        check(name + " read again from " + end, again == ours, why)


def save_legacy_weights(kind, model, path):
    if kind == "tf_keras":
        model.save_weights(path)
    else:  # Keras 3 reads this form but offers no call that writes it
        with h5py.File(path, "w") as f:
            keras.src.legacy.saving.legacy_h5_format.save_weights_to_hdf5_group(f, model)


def compare_weights(program, folder, make, kind, form):
    """Weights-only files, both ways, by order."""
    k = KERAS[kind]
    k.backend.clear_session()
    model = make(k)
    name = "%s of %s of %s" % (form, make.__name__, kind)
    path, weights, copy = (os.path.join(folder, n) for n in ("in.h5", "in_weights" + form, "copy_weights" + form))
    model.save(path)
    randomize(model)
    if form == ".weights.h5":
        model.save_weights(weights)
    else:
        save_legacy_weights(kind, model, weights)
    ours, why = dump(program, path, weights=weights, copy_weights=copy)
    check(name + " read", ours is not None and same_lines(ours, expected_lines(model)), why)
    wanted = model.get_weights()
    model.set_weights([np.zeros_like(w) for w in wanted])
    model.load_weights(copy)
    check(name + " written", all(np.array_equal(a, b) for a, b in zip(wanted, model.get_weights())))


def compare_gelu(program, folder):
    """Keras saves keras.ops.gelu, the tanh approximation, as "gelu", which is the exact one when read; as a function with its module it stays itself."""
    path, copy = os.path.join(folder, "gelu.keras"), os.path.join(folder, "copy.keras")
    keras.Sequential([keras.layers.Input((4,)), keras.layers.Activation("gelu")]).save(path)
    with zipfile.ZipFile(path) as z:
        parts = {n: z.read(n) for n in z.namelist()}
    function = b'{"module": "keras.ops", "class_name": "function", "config": "gelu", "registered_name": "gelu"}'
    parts["config.json"] = parts["config.json"].replace(b'"activation": "gelu"', b'"activation": ' + function)
    with zipfile.ZipFile(path, "w") as z:
        for n, content in parts.items():
            z.writestr(n, content)
    x = np.linspace(-3, 3, 8, dtype="f").reshape(2, 4)
    ours, why = dump(program, path, copy=copy)
    check("tanh-approximated gelu read", ours is not None, why)
    compare_copy("tanh-approximated gelu", copy, [np.asarray(keras.ops.gelu(x))], x)


# --- half-width weights, and the paths of Keras 2.12 and 2.13 ---

def compare_half(program, folder, dtype, form):
    """Weights of half the width are kept as float32, to the bit."""
    L = keras.layers
    keras.backend.clear_session()
    i = L.Input((5,))
    model = keras.Model(i, L.Dense(3, dtype=dtype)(L.Dropout(0.5, seed=3)(L.Dense(5, dtype=dtype)(i))))
    randomize(model)
    path = os.path.join(folder, "half" + form)
    model.save(path)
    ours, why = dump(program, path)
    theirs = expected_lines(model)
    check("%s in %s read" % (dtype, form), ours is not None and same_lines(ours, theirs), why)


def compare_dependencies(program, folder, make):
    """tf_keras saves as Keras 2.13 did once its list of attributes to leave out is that of then, and layers met again are counted."""
    lib = tf_keras.src.saving.saving_lib
    tf_keras.backend.clear_session()
    model = make(tf_keras)
    path, weights = os.path.join(folder, "now.h5"), os.path.join(folder, "then.weights.h5")
    model.save(path)
    randomize(model)

    def walk(trackable):
        for name in dir(trackable):
            if not name.startswith("__") and name not in lib.ATTR_SKIPLIST - {"_layer_checkpoint_dependencies"}:
                try:
                    yield name, getattr(trackable, name)
                except Exception:
                    continue

    def container(container, weights_store, assets_store, inner_path, visited_trackables):
        used = {}
        for trackable in container.values() if isinstance(container, dict) else container:
            if lib._is_keras_trackable(trackable):
                name = tf_keras.src.utils.generic_utils.to_snake_case(trackable.__class__.__name__)
                used[name] = used.get(name, -1) + 1
                name = "%s_%d" % (name, used[name]) if used[name] else name
                lib._save_state(trackable, weights_store, assets_store, inner_path + "/" + name, visited_trackables)

    kept = lib._walk_trackable, lib._save_container_state
    lib._walk_trackable, lib._save_container_state = walk, container
    try:
        model.save_weights(weights)
    finally:
        lib._walk_trackable, lib._save_container_state = kept
    with h5py.File(weights) as f:
        check("the paths of 2.13 are there", "_layer_checkpoint_dependencies" in f and "layers" not in f)
    ours, why = dump(program, path, weights=weights)
    check("%s in the paths of 2.13 read" % make.__name__, ours is not None and same_lines(ours, expected_lines(model)), why)


# --- the optimizer goes on where it stopped ---

OPTIMIZERS = {
    "adam": lambda k: k.optimizers.Adam(1e-2),
    "amsgrad": lambda k: k.optimizers.Adam(1e-2, amsgrad=True),
    "adamw": lambda k: k.optimizers.AdamW(1e-2, weight_decay=0.01),
    "sgd": lambda k: k.optimizers.SGD(1e-2, momentum=0.9, nesterov=True),
    "rmsprop": lambda k: k.optimizers.RMSprop(1e-2, momentum=0.5, centered=True),
}
LEGACY = {  # of Keras 2.10 and before, in the lists that they had; its RMSprop added epsilon behind the root, another formula than today's
    "adam as it was": lambda k: k.optimizers.legacy.Adam(1e-2),
    "sgd as it was": lambda k: k.optimizers.legacy.SGD(1e-2, momentum=0.9),
}


def small(k):
    """Two trained layers of one shape, a frozen one between them, nothing random."""
    L = k.layers
    m = k.Sequential([L.Input((6,)), L.Dense(6, activation="tanh"), L.Dense(6, activation="sigmoid", trainable=False), L.Dense(6, activation="tanh"),
                      L.Dense(3)])
    return m


def optimizer_values(model):
    variables = model.optimizer.variables
    return [np.asarray(v) for v in (variables() if callable(variables) else variables)]


def close(a, b, bound=2e-6):
    return len(a) == len(b) and all(x.shape == y.shape and float(np.abs(x.astype("d") - y).max()) <= bound * (1 + float(np.abs(y).max())) for x, y in zip(a, b))


def compare_training(program, folder, name, kind, form):
    """Three steps in Keras, then one here against one there; then one more in Keras from the file written here."""
    k = KERAS[kind]
    k.backend.clear_session()
    k.utils.set_random_seed(5)
    model = small(k)
    model.compile(optimizer={**OPTIMIZERS, **LEGACY}[name](k), loss="mse")
    random = np.random.RandomState(1)
    x, y = random.randn(8, 6).astype("f"), random.randn(8, 3).astype("f")
    for _ in range(3):
        model.train_on_batch(x, y)
    path, data = os.path.join(folder, "trained" + form), os.path.join(folder, "data.raw")
    np.concatenate([x.ravel(), y.ravel()]).tofile(data)
    model.save(path)
    label = "%s of %s in %s" % (name, kind, form)
    copies = {}
    for end in (".keras", ".h5"):
        copies[end] = os.path.join(folder, "further" + end)
        ours, why = dump(program, path, train=data, samples=8, steps=1, copy=copies[end])
        if ours is None:
            check(label + " trained on", False, why)
            return
    model.train_on_batch(x, y)
    wanted = [model.get_weights(), optimizer_values(model)]
    model.train_on_batch(x, y)
    for end, copy in copies.items():
        if end == ".h5" and name == "adamw":
            continue  # its settings have no form that both Kerases read
        opened = keras.models.load_model(copy)
        check("%s trained on, weights from %s" % (label, end), close(opened.get_weights(), wanted[0]))
        if end == ".keras" and name not in LEGACY:
            slots = [v for v in optimizer_values(opened) if v.ndim]
            check("%s trained on, slots from %s" % (label, end), close(slots, [v for v in wanted[1] if v.ndim]))
        if end == ".keras":
            check("%s trained on, steps from %s" % (label, end), int(opened.optimizer.iterations) == 4)
        opened.train_on_batch(x, y)  # from .h5 with an optimizer that starts anew, which Keras 3 cannot otherwise
        if end == ".keras":
            check("%s trained on there, from %s" % (label, end), close(opened.get_weights(), model.get_weights()))
        again = os.path.join(folder, "again.keras")
        ours, why = dump(program, copy, train=data, samples=8, steps=1, copy=again)
        check("%s trained on twice here, by way of %s" % (label, end), ours is not None and close(keras.models.load_model(again).get_weights(), model.get_weights()), why)


# --- forms that no Keras at hand writes ---

def list_form(path):
    """Keras 2.0's Sequential, its config a bare list."""
    m = tf_keras.Sequential([tf_keras.layers.Dense(3, input_shape=(5,), name="d")])
    m.save(path)
    with h5py.File(path, "a") as f:
        f.attrs["model_config"] = ('{"class_name": "Sequential", "config": [{"class_name": "Dense", "config": {"name": "d", "trainable": true, "units": 3, '
                                   '"batch_input_shape": [null, 5], "dtype": "float32", "activation": "linear", "use_bias": true}}]}')
        f["model_weights"].attrs["keras_version"] = "2.0.6"
    return m


def compare_real(program, folder, data):
    random = np.random.RandomState(3)
    for name in ("teachable_machine_a.h5", "fer2013_mini_xception.hdf5"):
        path, copy = os.path.join(data, name), os.path.join(folder, "copy.h5")
        if not os.path.isfile(path):
            print("skipped: no %s in %s" % (name, data))
            continue
        model = tf_keras.models.load_model(path, compile=False)
        ours, why = dump(program, path, copy=copy)
        theirs = expected_lines(model)
        check(name + " read", ours is not None and same_lines(ours, theirs), why or first_difference(ours, theirs))
        xs = random.rand(2, *model.input_shape[1:]).astype("f") * 2 - 1
        if ours is not None:
            compare_copy(name, copy, outputs_of(model, xs), xs)


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        for make in MODELS:
            for kind in KERAS:
                for form in (".h5", ".keras"):
                    compare_model(program, folder, make, kind, form)
        for make in (sequential, every_layer, nested, nested_frozen, deep, branches, layers_shared, model_called_twice):
            for kind in KERAS:
                for form in (".h5", ".weights.h5"):
                    compare_weights(program, folder, make, kind, form)
        compare_model(program, folder, keras3_activations, "keras", ".keras")
        compare_gelu(program, folder)
        for dtype in ("float16", "bfloat16", "mixed_float16"):
            for form in (".h5", ".keras"):
                compare_half(program, folder, dtype, form)
        for make in (sequential, nested, deep, branches):
            compare_dependencies(program, folder, make)
        for name in OPTIMIZERS:
            for kind in KERAS:
                for form in (".h5", ".keras"):
                    compare_training(program, folder, name, kind, form)
        for name in LEGACY:
            compare_training(program, folder, name, "tf_keras", ".h5")
        path = os.path.join(folder, "list.h5")
        model = list_form(path)
        ours, why = dump(program, path)
        check("Keras 2.0's list form read", ours is not None and same_lines(ours, expected_lines(model)), why)
        if len(sys.argv) > 2:
            compare_real(program, folder, sys.argv[2])
    print("%d failures" % len(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
