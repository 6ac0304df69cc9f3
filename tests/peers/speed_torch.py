"""PyTorch on an NVIDIA GPU: the networks of torchvision with a head of 10 classes, forward, one step of the head alone, one whole step (Adam), in fp32 without
TF32 and with automatic mixed precision in channels_last. Prints a JSON line per pass and precision, as `tlvk bench --json`. Exit status 77 where PyTorch,
torchvision or a GPU is missing.

    python speed_torch.py NETWORK [--batch-size 8] [--image-size 224] [--repeats 20]

torchvision has no Xception and no MobileNet of the first version; MobileNetV2 stands beside ours of the first.
"""
import argparse
import contextlib
import json
import sys
import time

try:
    import torch
    import torchvision
except ImportError as missing:
    print(missing, file=sys.stderr)
    sys.exit(77)

NETWORKS = {"vgg16": "vgg16", "resnet50": "resnet50", "inceptionv3": "inception_v3", "mobilenet": "mobilenet_v2"}
WARM_RUNS = 5


class Network(torch.nn.Module):
    """Base, mean over height and width, Dense 10."""

    def __init__(self, name):
        super().__init__()
        if name == "inceptionv3":
            self.base = torchvision.models.inception_v3(weights=None, aux_logits=False, init_weights=False)
            self.base.fc = torch.nn.Identity()
            self.pooled, channels = True, 2048
        elif name == "resnet50":
            self.base = torchvision.models.resnet50(weights=None)
            self.base.fc = torch.nn.Identity()
            self.pooled, channels = True, 2048
        else:
            self.base = getattr(torchvision.models, NETWORKS[name])(weights=None).features
            self.pooled, channels = False, 512 if name == "vgg16" else 1280
        self.head = torch.nn.Linear(channels, 10)

    def forward(self, x):
        x = self.base(x)
        return self.head(x if self.pooled else x.mean((2, 3)))


def run_of(name, which, mixed, x, y):
    model = Network(name).cuda().train(which == "step")
    if mixed:
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    for p in model.base.parameters():
        p.requires_grad = which == "step"
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad])
    scaler = torch.amp.GradScaler("cuda", enabled=mixed)
    precision = (lambda: torch.autocast("cuda", torch.float16)) if mixed else contextlib.nullcontext

    def forward():
        with torch.no_grad(), precision():
            model(x)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with precision():
            loss = torch.nn.functional.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    return forward if which == "forward" else step


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("network", choices=sorted(NETWORKS))
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("no CUDA device", file=sys.stderr)
        sys.exit(77)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    x = torch.rand(options.batch_size, 3, options.image_size, options.image_size, device="cuda")
    y = torch.arange(options.batch_size, device="cuda") % 10
    for mixed in (False, True):
        for which in ("forward", "head", "step"):
            run, times = run_of(options.network, which, mixed, x, y), []
            for _ in range(WARM_RUNS + options.repeats):
                torch.cuda.synchronize()
                began = time.perf_counter()
                run()
                torch.cuda.synchronize()
                times.append((time.perf_counter() - began) * 1e3)
            times = sorted(times[WARM_RUNS:])
            print(json.dumps({
                "case": f"{options.network} {which}", "network": options.network, "pass": which, "precision": "amp" if mixed else "fp32",
                "ms_min": times[0], "ms_median": times[len(times) // 2], "images_per_s": options.batch_size / times[0] * 1e3,
                "device": torch.cuda.get_device_name(),
            }), flush=True)


main()
