"""Measures this library and what people use instead, one after the other on this machine, and writes docs/performance.md from it.

    python3 performance.py TLVK --python PYTHON --work FOLDER [--parts networks,ncnn,torch,operations,growth,memory,jobs] [--networks NAME,...]
                           [--repeats 5] [--job-repeats 1] [--growth-size 224] [--job-cases warm,cold,uncached,fit,"features by hand"] [--pictures FOLDER] [--teachable FILE] [--alone COMMAND] [--write FILE]

TLVK is the command, PYTHON an interpreter that has requirements.txt. Each part's results are lines of JSON in FOLDER/PART.jsonl; what is not measured again
(--parts, --networks) keeps those of its last run, so that the page (--write) can be made from several runs. --pictures has folders train and val with a folder for each class
(the ants and bees of PyTorch's tutorial); --teachable is a file of the Teachable Machine. Without them `jobs` is left out, as is `torch` without CUDA.
--alone is put before every program that is measured, for machines shared by means of a lock. `./run peers` calls this with everything set.
"""
import argparse
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

import report

NETWORKS = ["vgg16", "resnet50", "inceptionv3", "xception", "mobilenet"]
HERE = pathlib.Path(__file__).resolve().parent
OPERATION_RUNS = 2  # processes: within one, memory may lie badly for all runs of an operation
BATCHES = [1, 2, 4, 8, 16, 32, 64]
JOBS = [  # name, network, size, head
    ("VGG16 150, flatten-256", "vgg16", 150, "flatten-256"),
    ("ResNet50 224, gap", "resnet50", 224, "gap"),
    ("MobileNetV2 0.35 (Teachable Machine), gap", "mobilenetv2", 224, "gap"),
    ("InceptionV3 224, gap-128", "inceptionv3", 224, "gap-128"),
]


class Runner:
    def __init__(self, options):
        self.options = options
        self.alone = shlex.split(options.alone)
        self.work = pathlib.Path(options.work).resolve()
        self.work.mkdir(parents=True, exist_ok=True)

    def run(self, command, environment=None, missing_ok=False):
        """Lines of JSON that a program prints, its seconds from start to end, and its largest resident size. Waiting for --alone is not counted."""
        print("$", shlex.join(map(str, command)), file=sys.stderr, flush=True)
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            timed = [sys.executable, str(HERE / "timed.py"), *map(str, command)]
            status = subprocess.call([*self.alone, *timed], stdout=out, stderr=err, env={**os.environ, **(environment or {})})
            out.seek(0)
            err.seek(0)
            if status == 77 and missing_ok:
                return None, 0, 0
            if status != 0:
                sys.exit(f"performance.py: status {status} of {shlex.join(map(str, command))}\n{err.read()}")
            lines = [json.loads(line) for line in out if line.startswith("{")]
        end = lines.pop()
        return lines, end["seconds"], end["resident_bytes"]

    def bench(self, *arguments):
        return self.run([self.options.tlvk, "bench", "--json", *arguments])

    def peer(self, script, *arguments, **keywords):
        return self.run([self.options.python, HERE / script, *arguments], **keywords)

    def device(self):
        found = [d for d in self.run([self.options.tlvk, "devices", "--json"])[0] if d["chosen"]]
        return f"{found[0]['name']}, {found[0]['driver']}" if found else "no device"

    def networks(self, offered):
        return [net for net in offered if net in self.options.networks.split(",")]

    def save(self, part, lines):
        def what(line):
            return tuple(line.get(key) for key in ("who", "case", "job", "network", "pass", "batch", "precision"))

        new = {what(line) for line in lines}
        kept = [line for line in report.read(self.work, part) if what(line) not in new]
        (self.work / f"{part}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [*kept, *lines]))


def of(who, lines, **more):
    return [{**line, "who": who, **more} for line in lines or []]


def measure_networks(r):
    """Ours and Keras's in turn, network by network, so that both see the same machine."""
    yield of("tlvk", r.bench("--parts", "peak")[0])
    for net in r.networks(NETWORKS):
        lines = of("tlvk", r.bench("--networks", net, "--repeats", r.options.repeats, "--parts", "forward,head,step")[0])
        yield lines + of("keras", r.peer("speed_keras.py", net, "--repeats", r.options.repeats)[0])


def measure_ncnn(r):
    for net in r.networks(("vgg16", "resnet50", "mobilenet")):
        lines = of("tlvk", r.bench("--networks", net, "--repeats", r.options.repeats, "--parts", "forward", "--batch-size", 1)[0])
        lines += of("ncnn", r.peer("speed_ncnn.py", net, "--repeats", r.options.repeats)[0])
        yield lines + of("ncnn cpu", r.peer("speed_ncnn.py", net, "--repeats", r.options.repeats, "--cpu")[0])


def measure_torch(r):
    for net in r.networks(("vgg16", "resnet50", "inceptionv3", "mobilenet")):
        theirs, _, _ = r.peer("speed_torch.py", net, missing_ok=True)
        if theirs is None:
            print("performance.py: no PyTorch with CUDA here", file=sys.stderr)
            return
        yield of("torch", theirs) + of("tlvk", r.bench("--networks", net, "--repeats", 20, "--parts", "forward,head,step")[0])


def measure_operations(r):
    """Of all networks at once: what several have is measured once, and says which those are."""
    fastest = {}
    for _ in range(OPERATION_RUNS):
        for line in r.bench("--parts", "operations")[0]:
            if line["case"] not in fastest or line["ms_min"] < fastest[line["case"]]["ms_min"]:
                fastest[line["case"]] = line
    yield of("tlvk", fastest.values())


def measure_growth(r):
    size = r.options.growth_size
    for net in r.networks(("mobilenetv2", "mobilenet", "resnet50")):
        for batch in BATCHES:
            found, _, resident = r.bench("--networks", net, "--parts", "forward,step", "--batch-size", batch, "--image-size", size, "--repeats", 2)
            yield of("tlvk", found, batch=batch, image_size=size, resident_bytes=resident)
    for pictures, epochs in [] if not r.networks(["mobilenet"]) else ((100, 1), (1000, 1), (10000, 1), (1000, 10), (1000, 50)):
        found, seconds, resident = r.bench("--networks", "mobilenet", "--parts", "job", "--image-size", 64, "--batch-size", 32,
                                           "--pictures", pictures, "--epochs", epochs)
        yield of("tlvk", found, resident_bytes=resident, array_bytes=pictures * 64 * 64 * 3 * 4, process_seconds=seconds)


def measure_memory(r):
    """VGG16, batch 32, everything trained: how much the process grows."""
    found, _, resident = r.bench("--networks", "vgg16", "--parts", "step", "--batch-size", 32, "--repeats", 1)
    _, _, empty = r.run([r.options.tlvk, "devices", "--json"])
    yield of("tlvk", found, growth_bytes=resident - empty)
    yield of("keras", r.peer("speed_keras.py", "vgg16", "--passes", "step", "--batch-size", 32, "--repeats", 1)[0])


def our_job(r, job, cache, folder, epochs=10):
    name, net, size, head = job
    teachable = net == "mobilenetv2"
    model = ["--cut", "out_relu", "--preprocess", "tf"] if teachable else ["--image-size", f"{size}x{size}"]
    pictures = r.options.pictures
    return [r.options.tlvk, "finetune", r.options.teachable if teachable else f"{net}:random", *model, "--head", head, "--train", f"{pictures}/train",
            "--validation", f"{pictures}/val", "--epochs", epochs, "--cache", cache, "--output", f"{folder}/ours.keras", "--json"]


def keras_job(r, job, folder, by_hand):
    name, net, size, head = job
    train, validation = f"{r.options.pictures}/train", f"{r.options.pictures}/val"
    more = ["--features"] if by_hand else []
    if net == "mobilenetv2":
        return ["finetune_keras.py", r.options.teachable, train, validation, "--output", f"{folder}/keras.h5", *more]
    return ["job_keras.py", net, size, head, train, validation, f"{folder}/keras.keras", *more]


def measure_jobs(r):
    """Process start to saved file. Ours: pipelines and tuning warm and the features empty; everything cold; no cache of features."""
    with tempfile.TemporaryDirectory() as folder:
        warm = {"TLVK_CACHE_DIR": f"{folder}/warm"}
        cold = {"TLVK_CACHE_DIR": f"{folder}/cold/tlvk", "MESA_SHADER_CACHE_DIR": f"{folder}/cold/mesa"}
        for job in [job for job in JOBS if r.networks([job[1]])]:
            cases = {
                "warm": ("tlvk", lambda: r.run(our_job(r, job, "memory", folder), warm)),
                "cold": ("tlvk", lambda: r.run(our_job(r, job, "memory", folder), cold)),
                "uncached": ("tlvk", lambda: r.run(our_job(r, job, "off", folder), warm)),
                "fit": ("keras", lambda: r.peer(*keras_job(r, job, folder, False))),
                "features by hand": ("keras", lambda: r.peer(*keras_job(r, job, folder, True))),
            }
            r.run(our_job(r, job, "memory", folder, epochs=1), warm)
            for case in [case for case in cases if case in r.options.job_cases.split(",")]:
                who, measure = cases[case]
                times = []
                for _ in range(r.options.job_repeats):
                    shutil.rmtree(f"{folder}/cold", ignore_errors=True)
                    times.append(measure()[1])
                yield [{"who": who, "job": job[0], "case": case, "seconds": min(times), "runs": len(times)}]


PARTS = {"networks": measure_networks, "ncnn": measure_ncnn, "torch": measure_torch, "operations": measure_operations, "growth": measure_growth,
         "memory": measure_memory, "jobs": measure_jobs}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tlvk")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--work", required=True)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--networks", default=",".join([*NETWORKS, "mobilenetv2"]))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--job-repeats", type=int, default=1, help="of whole jobs, which take minutes in Keras")
    parser.add_argument("--job-cases", default="warm,cold,uncached,fit,features by hand")
    parser.add_argument("--growth-size", type=int, default=224, help="side of the pictures by which batches are compared")
    parser.add_argument("--pictures")
    parser.add_argument("--teachable")
    parser.add_argument("--alone", default="")
    parser.add_argument("--write")
    options = parser.parse_args()

    r = Runner(options)
    for part in filter(None, options.parts.split(",")):
        if part == "jobs" and not (options.pictures and options.teachable):
            print("performance.py: jobs left out, --pictures and --teachable are wanted", file=sys.stderr)
            continue
        for lines in PARTS[part](r):  # what was measured stays where a later network fails
            r.save(part, [{**line, "date": time.strftime("%Y-%m-%d")} for line in lines])
    text = report.page(r.work, r.device())
    print(text)
    if options.write:
        pathlib.Path(options.write).write_text(text)


if __name__ == "__main__":
    main()
