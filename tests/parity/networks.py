"""Holds every built-in network against keras.applications as a whole: parameters and summary, predictions with the classifier at a small square size
and without it at an odd one, gradients of every trained tensor with nothing, a third, and all but the head frozen, and files that Keras opens.
Fills the table of table.py.

Usage: networks.py DUMP_NETWORK FOLDER [all | NET...]
DUMP_NETWORK is the program built from dump_network.c; FOLDER receives networks.md and the pipelines that the driver compiled.

The truth is Keras in float64, with the same float32 weights and pictures. Weights are random, statistics of BatchNormalization come from structured
pictures and were moved a little; answers are compared before the softmax, and must differ between pictures by SPREAD of their size.

Bounds. A float32 operation that sums K terms errs at random by about sqrt(K)/4 units u = 2^-24 of its result or less, 16 u for the 4,608 terms of the
largest sum here. Answers: L layers err independently, and each error travels to the answers as far as a change of the input does; how far that is
is measured in Keras in float64, by a random change of the pictures by 1e-6: bound 16 u sqrt(L) (change of the answers / 1e-6 + size of the answers).
Gradients: the sensitivity of each tensor's is measured by DRAWS random roundings (rounding.py): Keras in float64, with every convolution and Dense off
at random in forward and in backward by what sums of its length err by. Weights for this are those of kinks.py, since a gradient jumps where a ReLU or
a maximum decides otherwise. Where rounding still decides one, every second draw does too: where a bound is exceeded, up to MOST_DRAWS are looked at
before it counts. What Keras's own float32 is off by shows what rounding makes of gradients that cancel. A tensor's bound is the largest of the draws
and FACTOR times Keras's own error, which counts as no less for one tensor than for most: it may be small by chance.
"""
import gc
import json
import os
import re
import subprocess
import sys
import tempfile

import oracle
from kinks import keep_away
from nets import inner, pictures
from nets_summary import save_weights, shake, without_values
from rounding import Rounding
from table import Table

os.environ["COLUMNS"] = "200"  # of Keras's summary, which breaks lines at the terminal's width

import keras
import numpy as np
import tensorflow as tf
import tf_keras

# By the beginning of the name without its depth, the longest that fits: the network of the family that is looked at most closely; a square size for
# the classifier, and an odd one without it. The others repeat its blocks more often: they go without the run in inference mode and with one draw.
FAMILIES = {
    "vgg": ("vgg16", 32, (45, 37)), "resnet": ("resnet50", 64, (45, 37)), "resnetv2": ("resnet50v2", 64, (45, 37)),
    "inceptionv3": ("inceptionv3", 107, (91, 77)), "xception": ("xception", 71, (91, 75)), "mobilenet": ("mobilenet", 64, (45, 37)),
    "mobilenetv2": ("mobilenetv2", 64, (45, 37)), "mobilenetv3": ("mobilenetv3small", 64, (45, 37)), "densenet": ("densenet121", 64, (45, 37)),
    "efficientnet": ("efficientnetb0", 64, (45, 37)), "efficientnetv2": ("efficientnetv2b0", 64, (45, 37)),
    "convnext": ("convnexttiny", 64, (45, 37)), "nasnet": ("nasnetmobile", 64, (45, 37)),
}
ALSO_AT_224 = ["mobilenet"]
# The same blocks as in their families' others, more and wider ones: numbers of these would take as long as those of all others. "all" compares them too.
ON_REQUEST = {"efficientnetb4", "efficientnetb5", "efficientnetb6", "efficientnetb7", "efficientnetv2m", "efficientnetv2l", "nasnetlarge", "convnextbase",
              "convnextlarge", "convnextxlarge"}
NO_COMMON_NAME = "has no name in .h5 files by which Keras 3 and Keras 2 compute the same"  # MobileNetV3's hard_swish
CLASSES, PICTURES, SPREAD = 10, 4, 0.05
U, CHANGE, DRAWS, MOST_DRAWS, FACTOR = 2.0**-24, 1e-6, 2, 8, 4.0
# A step of plain gradient descent this long shows the gradient in the weights it leaves, to 2^-24 of itself; a power of two rounds nothing more.
RATE = 2.0**20
ZERO = 1e-10  # a gradient below this share of the network's largest is zero in exact arithmetic: float64 rounds to 1e-16


# --- Keras ------------------------------------------------------------------------------------------------------------------------------

def constructors():
    """keras.applications by the library's names: the function's, in small letters."""
    found = vars(keras.applications).items()
    return {name.lower(): function for name, function in found if callable(function) and name[0].isupper()}


def family_of(net):
    """Of resnet50v2 it is resnetv2; None for a network of no family."""
    plain = re.sub("^resnet(50|101|152)", "resnet", net)
    fitting = [beginning for beginning in FAMILIES if plain.startswith(beginning)]
    return max(fitting, key=len) if fitting else None


def build(net, **given):
    keras.backend.clear_session()
    return constructors()[net](weights=None, **given)


def in_float64(net, values, **given):
    """The same network again, with the given weights, computing in float64."""
    keras.backend.set_floatx("float64")
    with without_values():
        model = build(net, **given)
    keras.backend.set_floatx("float32")
    set_values(model, values)
    return model


def set_values(model, values):
    model.set_weights(values)
    for layer in inner(model):
        if hasattr(layer, "finalize_state"):  # Normalization takes its statistics over only then
            layer.finalize_state()


def without_dropout(model):
    """Returns whether there was any; its random numbers are nobody else's."""
    dropping = [layer for layer in inner(model) if "Dropout" in type(layer).__name__ and layer.rate > 0]
    for layer in dropping:
        layer.rate = 0.0
    return bool(dropping)


def summary_of(model):
    """And the counts of parameters. A count that Normalization keeps has 8 bytes in Keras, so that what its models weigh is left out."""
    lines = []
    model.summary(print_fn=lines.append)
    counts = [model.count_params(), sum(w.shape.num_elements() for w in model.trainable_weights)]
    return ["\n".join(lines), counts, any(w.name == "count" for w in model.weights)]


def compare_layers(net, name, said, theirs, table):
    text, counts, odd_bytes = theirs
    table.both(net, "parameters equal", oracle.check_that(f"{name}: parameters", said["counts"] == counts, said["counts"]))
    ours, theirs = ([line.rstrip() for line in t.splitlines()] for t in (said["summary"], text))
    if odd_bytes:
        ours, theirs = ([re.sub(r"( params: [\d,]+) \(.*", r"\1", line) for line in lines] for lines in (ours, theirs))
    different = [f"{a} is not {b}" for a, b in zip(ours, theirs) if a != b]
    ok = oracle.check_that(f"{name}: summary, {len(ours)} lines", not different and len(ours) == len(theirs), "; ".join(different[:2]))
    table.both(net, "summary equal", ok)


def quick_grouped_convolutions():
    """Keras compiles a grouped convolution by XLA anew in every call on a CPU, which takes ConvNeXt minutes. Those with a group per channel are what
    TensorFlow calls depthwise."""
    backend = keras.src.backend.tensorflow.nn
    usual = backend.conv

    def conv(inputs, kernel, strides=1, padding="valid", data_format=None, dilation_rate=1):
        depthwise = len(kernel.shape) == 4 and kernel.shape[2] == 1 and 1 < inputs.shape[-1] == kernel.shape[3]
        if not depthwise or data_format == "channels_first" or dilation_rate not in (1, (1, 1)):
            return usual(inputs, kernel, strides, padding, data_format, dilation_rate)
        strides = (strides, strides) if isinstance(strides, int) else tuple(strides)
        return tf.nn.depthwise_conv2d(inputs, tf.transpose(kernel, (0, 1, 3, 2)), [1, *strides, 1], padding.upper())

    backend.conv = conv


def in_range(model, x):
    """Pictures in -1 to 1 as they are, or in 0 to 255 for a network that begins with its own preprocessing."""
    prepares = any(type(layer).__name__ in ("Rescaling", "Normalization") for layer in inner(model))
    return (127.5 * (x + 1)).astype(np.float32) if prepares else x


def some_pictures(model, count, seed):
    return in_range(model, pictures(count, tuple(model.input_shape[1:]), 5, seed)[0])


def norms_of(model):
    return [layer for layer in inner(model) if type(layer).__name__ == "BatchNormalization"]


def settle(model):
    """Weights and statistics that tell pictures apart; how fast statistics follow stays as Keras has it."""
    norms = norms_of(model)
    momenta = [layer.momentum for layer in norms]
    shake(model, some_pictures(model, 16, 1), 2)
    for layer, momentum in zip(norms, momenta):
        layer.momentum = momentum


def values_of(model):
    return {f"{layer.name}/{k}": w.numpy() for layer in inner(model) for k, w in enumerate(layer.weights)}


def moved(values, rng):
    return values * (1 + CHANGE * rng.standard_normal(values.shape, np.float32).astype(np.float64))


# --- one comparison of answers ------------------------------------------------------------------------------------------------------------

class Answers:
    """A network at one size: what Keras says in both precisions, and the job that makes the library say it."""

    def __init__(self, net, folder, title, given, options):
        self.net, self.name, self.given, self.folder = net, f"{net} {title}", given, folder
        keras.utils.set_random_seed(7)
        self.model = build(net, **given)
        settle(self.model)
        self.x = some_pictures(self.model, PICTURES, 3)
        height, width = given["input_shape"][:2]
        self.weights, pictures_file, self.out = (os.path.join(folder, f"{title}.{end}") for end in ("weights.h5", "pictures", "out"))
        save_weights(self.model, self.weights)
        self.x.tofile(pictures_file)
        self.pictures = [pictures_file, self.x.shape]
        self.job = {"net": net, "weights": self.weights, "height": height, "width": width, **options}
        self.whole = {**self.job, "summary": True, "x": self.pictures, "predict": self.out}
        self.summary = summary_of(self.model)

    def find_truth(self):
        """Runs while the library does its part."""
        self.exact_model = in_float64(self.net, self.model.get_weights(), **self.given)
        x = self.x.astype(np.float64)
        self.exact = self.exact_model(x, training=False).numpy()
        self.theirs = self.model(self.x, training=False).numpy()
        self.values = self.model.get_weights()
        change = np.abs(self.exact_model(moved(x, np.random.default_rng(4)), training=False).numpy() - self.exact).max() / CHANGE
        self.bound = 16 * U * len(self.model.layers) ** 0.5 * (change + np.abs(self.exact).max())

    def compare(self, said, table):
        """Returns the error, Keras's own, both of the largest answer, and the share of the bound."""
        if "error" in said:
            oracle.check_that(self.name, False, said["error"])
            return np.inf, np.inf, np.inf
        compare_layers(self.net, self.name, said, self.summary, table)
        size = np.abs(self.exact).max()
        apart = np.ptp(self.exact, axis=0).max() / size
        oracle.check_that(f"{self.name}: pictures are told apart", apart > SPREAD, f"{apart:.2f} of the size of the answers")
        ours = np.fromfile(self.out, np.float32)
        if list(said["shape"]) != list(self.exact.shape):
            oracle.check_that(f"{self.name}: answers", False, f"shape {said['shape']}, not {self.exact.shape}")
            return np.inf, np.inf, np.inf
        error = np.abs(ours.reshape(self.exact.shape) - self.exact).max()
        oracle.check(f"{self.name}: answers", error, self.bound, f"(Keras in float32: {np.abs(self.theirs - self.exact).max():.2g})")
        return error / size, np.abs(self.theirs - self.exact).max() / size, error / self.bound


# --- gradients --------------------------------------------------------------------------------------------------------------------------------

class Gradients:
    """One training step of a network with its first layers frozen, or with every BatchNormalization in inference mode."""

    def __init__(self, answers, name, frozen, inference=False):
        self.answers, self.name, self.frozen, self.inference = answers, f"{answers.name}: gradients, {name}", frozen, inference
        self.out = os.path.join(answers.folder, f"gradients {name}.values")

    def job(self, model, targets):
        """`model`: what makes dump_network build it; `targets`: the file of them."""
        layers = self.answers.model.layers[: self.frozen]
        # Sums that Keras writes x + y are layers to the library, which slices count and Keras's model.layers does not; so is all arithmetic that comes
        # from a file. Networks that have such are frozen by name.
        arithmetic = len(self.answers.model.operations) > len(self.answers.model.layers)
        frozen = [[layer.name, False] for layer in layers if layer.weights] if arithmetic else [[f":{self.frozen}", False]]
        spec = [["*", True], *frozen] if self.frozen else []
        return {**model, "trainable": spec, "x": self.answers.pictures, "y": targets, "values": self.out,
                "fit": {"learning_rate": RATE, "batch_norm_inference": self.inference}}

    def step(self, model, x, y):
        """Gradients, and the statistics after it, of a Keras model; its values are put back."""
        named = {id(w): f"{layer.name}/{k}" for layer in inner(model) for k, w in enumerate(layer.weights)}
        before = [(v, v.numpy()) for layer in norms_of(model) for v in (layer.moving_mean, layer.moving_variance)]
        for layer in model.layers[: self.frozen]:
            layer.trainable = False
        with tf.GradientTape() as tape:
            value = keras.losses.CategoricalCrossentropy(from_logits=True)(y.astype(x.dtype), model(tf.constant(x), training=not self.inference))
        gradients = tape.gradient(value, [v.value for v in model.trainable_variables])
        found = {named[id(v)]: np.asarray(g, np.float64) for v, g in zip(model.trainable_variables, gradients)}
        statistics = {named[id(v)]: v.numpy().astype(np.float64) for v, old in before if not np.array_equal(v.numpy(), old)}
        for v, old in before:
            v.assign(old)
        for layer in model.layers[: self.frozen]:
            layer.trainable = True
        return found, statistics

    def compare(self, said):
        """Returns the error, Keras's own, and the share of the bound, each of the worst tensor."""
        if "error" in said:
            oracle.check_that(self.name, False, said["error"])
            return np.inf, np.inf, np.inf
        after = oracle.read_arrays(np.fromfile(self.out, np.float32), said["arrays"], np.float32)[0]
        before = values_of(self.answers.model)
        expected = {*self.exact, *self.statistics}
        different = {name for name in before if name not in after or not np.array_equal(before[name], after[name])}
        largest = max(np.abs(g).max() for g in self.exact.values())
        zero = {name for name, g in self.exact.items() if np.abs(g).max() <= ZERO * largest}
        wrong = sorted((different - expected) | (expected - different - zero) | set(after) ^ set(before))
        ok = oracle.check_that(f"{self.name}: {len(expected)} of {len(before)} tensors change", not wrong, wrong[:4])
        if not ok:
            return np.inf, np.inf, np.inf
        found = {name: (before[name].astype(np.float64) - after[name]) / RATE for name in self.exact}
        statistics = {name: after[name].astype(np.float64) for name in self.statistics}
        while True:
            rows = self.rows(found, self.exact, 0) + self.rows(statistics, self.statistics, 1)
            share, name = max((row[2], row[3]) for row in rows)
            if share <= 1 or len(self.changed) >= MOST_DRAWS:
                break
            draw([self], self.answers)
        error, own = max(row[0] for row in rows), max(row[1] for row in rows)
        note = f"of the bound (worst {name}; largest error {error:.2g} of a tensor's size, Keras {own:.2g}; {len(self.changed)} draws)"
        oracle.check(f"{self.name}: {len(rows)} tensors", share, 1, note)
        return error, own, share

    def rows(self, found, exact, which):
        """Error, Keras's own, both of the tensor's size, error over the bound, and the name, of each tensor."""
        largest = max((np.abs(v).max() for v in exact.values()), default=0)
        errors = []
        for name, true in exact.items():
            size = np.abs(true).max()
            size = size if size > ZERO * largest else largest
            others = (found, self.theirs[which], *(c[which] for c in self.changed))
            errors.append([np.abs(values[name] - true).max() / size for values in others])
        usual = np.median([own for _, own, *_ in errors]) if errors else 0
        return [(error, own, error / (FACTOR * max(own, usual) + max(changes) + FACTOR * U), name) for (error, own, *changes), name in zip(errors, exact)]


def find_gradients(runs, answers, y, draws):
    """Fills in what Keras says for every run, in both precisions and with random roundings."""
    answers.y, answers.rounding = y, Rounding(answers.exact_model, 5)
    for run in runs:
        run.exact, run.statistics = run.step(answers.exact_model, answers.x.astype(np.float64), y)
        run.theirs, run.changed = run.step(answers.model, answers.x, y), []
    for _ in range(draws):
        draw(runs, answers)


def draw(runs, answers):
    with answers.rounding:
        for run in runs:
            gradients, statistics = run.step(answers.exact_model, answers.x.astype(np.float64), answers.y)
            if run.inference:
                answers.rounding.add_to(gradients, PICTURES)
            run.changed.append((gradients, statistics))


# --- files -------------------------------------------------------------------------------------------------------------------------------------

def opens(name, K, path, answers):
    """Whether a file written here opens in Keras with the same weights and answers."""
    try:
        model = K.models.load_model(path, compile=False, custom_objects={"LayerScale": K.src.applications.convnext.LayerScale})  # ConvNeXt's, unregistered
    except Exception as error:  # whatever it says, it does not open
        return oracle.check_that(name, False, str(error).splitlines()[0])
    same = all(np.array_equal(a, b) for a, b in zip(model.get_weights(), answers.values))
    ok = oracle.check_that(f"{name}: weights", same and len(model.get_weights()) == len(answers.values))
    error = np.abs(np.asarray(model(answers.x, training=False)) - answers.exact).max()
    return oracle.check(f"{name}: answers", error, answers.bound) and ok


# --- a network ---------------------------------------------------------------------------------------------------------------------------------

def gradient_runs(answers, closely):
    layers = answers.model.layers
    head = max(i for i, layer in enumerate(layers) if layer.weights)
    return [Gradients(answers, "nothing frozen", 0), Gradients(answers, "a third frozen", len(layers) // 3),
            Gradients(answers, "all but the head frozen", head)] + [Gradients(answers, "inference mode", 0, inference=True)] * closely


def make_gradient_model(answers):
    """Changes the weights to some whose gradients do not jump; returns what makes dump_network build the same."""
    keep_away(answers.model, some_pictures(answers.model, 16, 8), 9)
    if without_dropout(answers.model):
        job = {"file": os.path.join(answers.folder, "theirs.h5")}
        answers.model.save(job["file"])
        return job
    job = {**answers.job, "weights": os.path.join(answers.folder, "gradients.h5")}
    save_weights(answers.model, job["weights"])
    return job


def cell(results):
    """Of (error, Keras's own, share of the bound): the worst of each."""
    error, own, share = (max(column) for column in zip(*results))
    return f"{error:.1e} (Keras {own:.1e}; {share:.2f} of bound)"


def compare_net(program, net, table, folder):
    closely, size, odd = FAMILIES[family_of(net)]
    logits = {"classes": CLASSES, "logits": True}
    given = {"classes": CLASSES, "classifier_activation": None}
    top = Answers(net, folder, f"{size}x{size}", {**given, "input_shape": (size, size, 3)}, logits)
    others = [Answers(net, folder, f"without classifier {odd[0]}x{odd[1]}", {"include_top": False, "input_shape": (*odd, 3)}, {"no_top": True})]
    if net in ALSO_AT_224:
        others.append(Answers(net, folder, "224x224", {**given, "input_shape": (224, 224, 3)}, logits))
    files = {end: os.path.join(folder, f"ours.{end}") for end in ("h5", "keras")}
    top.find_truth()
    runs, model = gradient_runs(top, net == closely), make_gradient_model(top)
    y = np.eye(CLASSES, dtype=np.float32)[np.random.default_rng(6).integers(0, CLASSES, PICTURES)]
    y.tofile(os.path.join(folder, "targets"))
    targets = [os.path.join(folder, "targets"), y.shape]
    jobs = [top.whole, *({**top.job, "save": [path]} for path in files.values()), *(one.whole for one in others),
            *(run.job(model, targets) for run in runs)]
    spec = os.path.join(folder, "spec.json")
    with open(spec, "w") as file:
        json.dump(jobs, file)
    with open(os.path.join(folder, "said"), "w+") as out, subprocess.Popen([program, spec], stdout=out, stderr=subprocess.STDOUT) as process:
        for one in others:
            one.find_truth()
        without_dropout(top.exact_model)
        set_values(top.exact_model, top.model.get_weights())
        find_gradients(runs, top, y, DRAWS if net == closely else 1)
        process.wait()
        out.seek(0)
        text = out.read()
    if process.returncode:
        raise RuntimeError(f"{program}: status {process.returncode}: {text[-1000:]}")
    saved, saved_h5, saved_keras, *said = oracle.lines(text)
    table.put(net, "max relative output error", cell([one.compare(s, table) for one, s in zip((top, *others), (saved, *said))]))
    table.put(net, "max relative gradient error", cell([run.compare(s) for run, s in zip(runs, said[len(others):])]))
    compare_files(net, table, files, saved_h5, saved_keras, top)


def compare_only_layers(program, net, table, folder):
    _, size, odd = FAMILIES[family_of(net)]
    options = [{"classes": CLASSES, "logits": True, "height": size, "width": size}, {"no_top": True, "height": odd[0], "width": odd[1]}]
    given = [{"classes": CLASSES, "classifier_activation": None, "input_shape": (size, size, 3)}, {"include_top": False, "input_shape": (*odd, 3)}]
    spec = os.path.join(folder, "spec.json")
    with open(spec, "w") as file:
        json.dump([{"net": net, "summary": True, **one} for one in options], file)
    for one, said in zip(given, oracle.lines(oracle.run(program, spec))):
        with without_values():
            model = build(net, **one)
        compare_layers(net, f"{net} {'x'.join(map(str, one['input_shape'][:2]))}", said, summary_of(model), table)
    for column in table.open_columns(net):
        table.put(net, column, f"as {FAMILIES[family_of(net)][0]} (all)")


def compare_files(net, table, files, saved_h5, saved_keras, top):
    if NO_COMMON_NAME in saved_h5.get("error", ""):  # rather than a file that one of them reads as another network
        oracle.check_that(f"{net}: .h5 is refused as it must be", not hasattr(tf_keras.activations, "hard_swish"), saved_h5["error"])
        h5 = {K: "refused" for K in (keras, tf_keras)}
    else:
        h5 = {K: "yes" if opens(f"{net}: .h5 in {K.__name__}", K, files["h5"], top) else "no" for K in (keras, tf_keras)}
    table.put(net, "opens in tf_keras", h5[tf_keras])
    zipped = "not yet"  # as long as the library refuses to write it
    if "error" not in saved_keras:
        zipped = "yes" if opens(f"{net}: .keras in keras", keras, files["keras"], top) else "no"
    table.put(net, "opens in Keras 3", f".h5 {h5[keras]}, .keras {zipped}")


def main():
    program, folder, chosen = sys.argv[1], sys.argv[2], sys.argv[3:]
    everything = chosen == ["all"]
    chosen = [] if everything else chosen
    os.makedirs(folder, exist_ok=True)
    os.environ.setdefault("TLVK_CACHE_DIR", os.path.join(folder, "cache"))
    quick_grouped_convolutions()
    nets = oracle.run(program).split()
    table = Table()
    for net in [net for net in nets if not chosen or net in chosen]:
        if not oracle.check_that(f"{net}: has a constructor in Keras and a family in FAMILIES", net in constructors() and family_of(net)):
            continue
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            (compare_only_layers if net in ON_REQUEST and net not in chosen and not everything else compare_net)(program, net, table, scratch)
        gc.collect()
    oracle.check_that("no cell of the table is empty", not table.empty(), table.empty())
    with open(os.path.join(folder, "networks.md"), "w") as file:
        file.write(table.markdown())
    print(table.markdown())
    oracle.finish()


if __name__ == "__main__":
    main()
