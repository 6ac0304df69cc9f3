"""ncnn's inference through Vulkan (or, with --cpu, its own kernels): networks without their top, with global average pooling and Dense 10, built here layer by
layer with random weights and each BatchNormalization folded into its convolution, one picture at a time. Prints a JSON line, as `tlvk bench --json`.
A run whose scores are no probabilities (ncnn's ResNet50 gives NaN now and then on lavapipe) is counted in `wrong_runs` and its time left out.

    python speed_ncnn.py vgg16|resnet50|mobilenet [--image-size 224] [--repeats 5] [--cpu]
"""
import argparse
import json
import os
import struct
import tempfile
import time

import ncnn
import numpy as np

WARM_RUNS = 2
RELU, ADD, MAXIMUM, MEAN = 1, 0, 0, 1


class Builder:
    """Writes ncnn's text of layers and its file of weights side by side. A name of a blob is a string; each is read once, so forks are split."""

    def __init__(self):
        self.lines, self.weights, self.blobs = [], [], 0
        self.random = np.random.default_rng(1)

    def layer(self, kind, inputs, outputs=1, **parameters):
        names = [f"b{self.blobs + i}" for i in range(outputs)]
        self.blobs += outputs
        values = " ".join(f"{key[1:]}={value}" for key, value in parameters.items())
        self.lines.append(f"{kind} l{len(self.lines)} {len(inputs)} {outputs} {' '.join([*inputs, *names])} {values}")
        return names if outputs > 1 else names[0]

    def numbers(self, count, fan_in, tagged):
        values = self.random.standard_normal(count, dtype=np.float32) * np.float32((2 / fan_in) ** 0.5)
        self.weights.append((struct.pack("<I", 0) if tagged else b"") + values.tobytes())

    def convolution(self, x, channels, filters, kernel, stride=1, pad=0, after=0, relu=True):
        """pad: left and top; after: right and bottom."""
        size = kernel * kernel * channels * filters
        self.numbers(size, kernel * kernel * channels, True)
        self.numbers(filters, 1e4, False)
        return self.layer("Convolution", [x], _0=filters, _1=kernel, _3=stride, _4=pad, _15=after, _5=1, _6=size, _9=RELU if relu else 0)

    def depthwise(self, x, channels, stride):
        self.numbers(9 * channels, 9, True)
        self.numbers(channels, 1e4, False)
        pad, after = (1, 1) if stride == 1 else (0, 1)
        return self.layer("ConvolutionDepthWise", [x], _0=channels, _1=3, _3=stride, _4=pad, _15=after, _5=1, _6=9 * channels, _7=channels, _9=RELU)

    def pool(self, x, kernel, pad=0):
        return self.layer("Pooling", [x], _0=MAXIMUM, _1=kernel, _2=2, _3=pad, _5=1)

    def head(self, x, channels):
        x = self.layer("Pooling", [x], _0=MEAN, _4=1)
        self.numbers(10 * channels, channels, True)
        self.numbers(10, 1e4, False)
        return self.layer("Softmax", [self.layer("InnerProduct", [x], _0=10, _1=1, _2=10 * channels)], _0=0)


def vgg16(b):
    x, channels = b.layer("Input", []), 3
    for filters, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            x, channels = b.convolution(x, channels, filters, 3, pad=1, after=1), filters
        x = b.pool(x, 2)
    return b.head(x, channels)


def residual(b, x, channels, filters, stride, project):
    x, short = b.layer("Split", [x], outputs=2)
    if project:
        short = b.convolution(short, channels, 4 * filters, 1, stride, relu=False)
    x = b.convolution(x, channels, filters, 1, stride)
    x = b.convolution(x, filters, filters, 3, pad=1, after=1)
    x = b.convolution(x, filters, 4 * filters, 1, relu=False)
    return b.layer("ReLU", [b.layer("BinaryOp", [x, short], _0=ADD)])


def resnet50(b):
    x = b.convolution(b.layer("Input", []), 3, 64, 7, 2, pad=3, after=3)
    x, channels = b.pool(x, 3, pad=1), 64
    for filters, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for i in range(count):
            x, channels = residual(b, x, channels, filters, stride if i == 0 else 1, i == 0), 4 * filters
    return b.head(x, channels)


def mobilenet(b):
    x, channels = b.convolution(b.layer("Input", []), 3, 32, 3, 2, pad=0, after=1), 32
    for filters, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)):
        x = b.depthwise(x, channels, stride)
        x, channels = b.convolution(x, channels, filters, 1), filters
    return b.head(x, channels)


NETWORKS = {"vgg16": vgg16, "resnet50": resnet50, "mobilenet": mobilenet}


def load(name, cpu):
    builder = Builder()
    output = NETWORKS[name](builder)
    net = ncnn.Net()
    net.opt.use_vulkan_compute = not cpu
    net.opt.num_threads = os.cpu_count()
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, option, False)
    with tempfile.TemporaryDirectory() as folder:
        text, weights = os.path.join(folder, "net.param"), os.path.join(folder, "net.bin")
        with open(text, "w") as f:
            f.write("\n".join(["7767517", f"{len(builder.lines)} {builder.blobs}", *builder.lines, ""]))
        with open(weights, "wb") as f:
            f.write(b"".join(builder.weights))
        assert net.load_param(text) == 0 and net.load_model(weights) == 0, f"ncnn does not take {name}"
    return net, output


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("network", choices=sorted(NETWORKS))
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cpu", action="store_true")
    options = parser.parse_args()

    net, output = load(options.network, options.cpu)
    picture = ncnn.Mat(np.random.default_rng(2).random((3, options.image_size, options.image_size), dtype=np.float32))
    times, wrong = [], 0
    while len(times) < WARM_RUNS + options.repeats:
        began = time.perf_counter()
        extractor = net.create_extractor()
        extractor.input("b0", picture)
        status, scores = extractor.extract(output)
        scores = np.array(scores)
        seconds = time.perf_counter() - began
        assert status == 0 and scores.shape == (10,), (status, scores)
        if abs(scores.sum() - 1) < 1e-3:
            times.append(seconds * 1e3)
        else:
            wrong += 1
            assert wrong <= WARM_RUNS + options.repeats, f"ncnn's scores of {options.network} are wrong in most runs: {scores}"
    times = sorted(times[WARM_RUNS:])
    print(json.dumps({
        "case": f"{options.network} forward", "network": options.network, "pass": "forward", "ms_min": times[0], "ms_median": times[len(times) // 2],
        "images_per_s": 1e3 / times[0], "vulkan": not options.cpu, "wrong_runs": wrong,
    }))


main()
