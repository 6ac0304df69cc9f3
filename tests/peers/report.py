"""From the lines that performance.py gathered to the text of docs/performance.md."""
import json
import math
import pathlib
import statistics

FLAG = 0.4
START_MS = 0.04  # of a dispatch inside a submission on lavapipe
PASSES = (("forward", "forward"), ("head", "head step"), ("step", "step"))
SHADER_COPIES = ("copy by storage buffers", "copy by texels")
BY_ARITHMETIC = ("Conv2D", "Dense")  # others are bound by what they read and write, and are compared by that


def read(work, part):
    path = pathlib.Path(work) / f"{part}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(head, rows):
    lines = ["| " + " | ".join(map(str, head)) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]) + "\n"


def number(value, digits=2):
    return "-" if not value else f"{value:.{digits}f}" if value < 100 else f"{value:.0f}"


def percent(value):
    return "-" if not value else f"{100 * value:.0f} %"


def find(lines, **wanted):
    return next((l for l in lines if all(l.get(k) == v for k, v in wanted.items())), None)


def networks_in(lines):
    return list(dict.fromkeys(l["network"] for l in lines if l.get("network")))


def mean(ratios):
    return math.exp(statistics.fmean(math.log(r) for r in ratios)) if ratios else None


def peaks(lines):
    rows = [(l["case"], number(l["gflops"], 0) if l["gflops"] else "-", number(l.get("gbytes_per_s"), 1)) for l in lines if l.get("part") == "peak"]
    return "## Peaks of the device\n\n" + table(("kernel", "GFLOP/s", "GB/s"), rows) if rows else ""


def networks(lines):
    if not lines:
        return ""
    rows, ratios = [], {}
    for net in networks_in(lines):
        for theirs_pass, ours_pass in PASSES:
            ours, theirs = find(lines, who="tlvk", network=net, **{"pass": ours_pass}), find(lines, who="keras", network=net, **{"pass": theirs_pass})
            if not ours or not theirs:
                continue
            ratio = ours["images_per_s"] / theirs["images_per_s"]
            ratios.setdefault(ours_pass, []).append(ratio)
            ceiling = ours.get("ceiling_images_per_s")
            rows.append((net, ours_pass, number(ours["images_per_s"]), number(theirs["images_per_s"]), f"**{ratio:.2f}**", number(ours["gflop"], 1),
                         number(ours["gflops"], 0), number(ceiling), percent(ours["images_per_s"] / ceiling if ceiling else 0)))
    means = ", ".join(f"{which} {mean(found):.2f} (least {min(found):.2f})" for which, found in ratios.items())
    head = ("network", "pass", "images/s", "Keras", "ratio", "GFLOP", "GFLOP/s", "ceiling, images/s", "share")
    return ("## Networks beside Keras on TensorFlow's CPU\n\nNo top, global average pooling, Dense 10, 224 x 224, batch 8, fp32, Adam. Keras: a warmed `tf.function` "
            "forward, `train_on_batch` for steps. The ceiling has every operation at the peak of multiply-adds or of copying, whichever holds it up; "
            "Winograd does less arithmetic than is counted and may pass it.\n\n" + table(head, rows) + f"\nGeometric means: {means}.\n")


def ncnn(lines):
    rows = []
    for net in networks_in(lines):
        ours, theirs, cpu = (find(lines, who=who, network=net) for who in ("tlvk", "ncnn", "ncnn cpu"))
        if ours and theirs:
            rows.append((net, number(ours["images_per_s"]), number(theirs["images_per_s"]), f"**{ours['images_per_s'] / theirs['images_per_s']:.1f}**",
                         number(cpu["images_per_s"] if cpu else 0)))
    return ("## Forward beside ncnn, same Vulkan device, batch 1\n\n" + table(("network", "images/s", "ncnn, Vulkan", "ratio", "ncnn, its own CPU kernels"), rows)) if rows else ""


def torch(lines):
    rows = []
    for net in networks_in(lines):
        for theirs_pass, ours_pass in PASSES:
            ours = find(lines, who="tlvk", network=net, **{"pass": ours_pass})
            fp32, amp = (find(lines, who="torch", network=net, precision=p, **{"pass": theirs_pass}) for p in ("fp32", "amp"))
            if ours and fp32 and amp:
                rows.append((net, ours_pass, number(ours["images_per_s"]), number(fp32["images_per_s"]), f"{ours['images_per_s'] / fp32['images_per_s']:.2f}",
                             number(amp["images_per_s"]), f"{ours['images_per_s'] / amp['images_per_s']:.2f}"))
    head = ("network", "pass", "images/s", "fp32, no TF32", "ratio", "AMP, channels_last", "ratio")
    return "## Networks beside PyTorch on CUDA, batch 8\n\n" + table(head, rows) if rows else ""


def rate_of(line):
    return line["gflops"] if line["kind"].startswith(BY_ARITHMETIC) else line.get("gbytes_per_s", 0)


def twice_read(line):
    """What a pass of BatchNormalization in training reads a second time, in parts of what is counted: the sums are taken first."""
    if line["kind"] != "BatchNormalization":
        return 1
    return {"forward": 3 / 2, "backward data": 5 / 3}.get(line["pass"], 1)


def reason(line, best):
    """What the figures themselves say of a slow line; of what they do not tell, what its kernel is known for (docs/kernels.md)."""
    moved = line.get("gbytes_per_s", 0) * twice_read(line)
    began = line.get("dispatches", 0) * START_MS
    if began >= FLAG * line["ms_min"]:
        dispatches = "one dispatch" if line["dispatches"] == 1 else f"{line['dispatches']:.0f} dispatches, each"
        return f"short: {dispatches} about {START_MS} ms to start and to wait for"
    if line["kind"] == "Conv2D 3x3" and line["gflops"] >= FLAG * best["plain product"]:
        return f"{percent(line['gflops'] / best['plain product'])} of the best plain product; the best of its kind is Winograd's, with channels enough for it"
    if moved >= FLAG * best["copying"]:
        again = ", x read for the sums first" if twice_read(line) > 1 else ""
        return f"what it moves: {moved:.1f} GB/s{again}, {percent(moved / best['copying'])} of copying from memory; the best of its kind stays in the cache"
    if line["kind"].startswith("Conv2D") and line["gflop"] / line["gbyte"] < 1.5 * best["multiply-adds"] / best["copying"]:
        return "few products for what it reads and writes: storing holds it up"
    if line["kind"].endswith("strided") and line["pass"] == "backward data":
        return "three of four pixels of dx are zeros, which are only written" if " 1x1 " in line["case"] else ""
    return {"MaxPooling2D backward data": "each pixel of dx asks every window over it whether it was its maximum",
            "GlobalAveragePooling2D forward": "small: its parts are joined behind barriers"}.get(f"{line['kind']} {line['pass']}", "")


def operations(lines, peak_lines):
    lines = [l for l in lines if l.get("part") == "operation"]
    if not lines:
        return ""
    kinds, rows, flagged = {}, [], []
    for l in lines:
        kinds.setdefault(l["kind"], []).append(l)
    peak = [l for l in peak_lines if l.get("part") == "peak"]
    best = {
        "plain product": max((l["gflops"] for l in lines if l["kind"].startswith("Conv2D 1x1")), default=0),
        "copying": max((l["gbytes_per_s"] for l in peak if l["case"] in SHADER_COPIES), default=1),
        "multiply-adds": max((l["gflops"] for l in peak), default=0),
    }
    for kind, found in sorted(kinds.items()):
        top, unit = max(found, key=rate_of), "GFLOP/s" if kind.startswith(BY_ARITHMETIC) else "GB/s"
        shares = [rate_of(l) / rate_of(top) for l in found if rate_of(top) > 0]
        rows.append((kind, len(found), f"{number(rate_of(top), 1)} {unit}", top["case"][len(top["case"].split(" ")[0]) + 1 :], percent(statistics.median(shares)),
                     percent(min(shares)), sum(s < FLAG for s in shares)))
        for l, share in sorted(zip(found, shares), key=lambda pair: pair[1]):
            if share < FLAG:
                flagged.append((l["case"], l.get("network", ""), int(l.get("count", 1)), number(l["ms_min"]), number(l["gflops"], 1), number(l.get("gbytes_per_s"), 1),
                                percent(share), reason(l, best)))
    head = ("kind", "lines", "best", "best of", "median share", "least share", f"under {FLAG:.0%}")
    flags = ("operation", "networks", "calls", "ms", "GFLOP/s", "GB/s", "share", "why, where the figures tell")
    return (f"## Operations\n\nEvery distinct operation of the five networks at 224 x 224, batch 8, each pass alone: {len(lines)} lines of `tlvk bench --parts operations`. "
            "Convolutions and Dense are compared by arithmetic, the others by what they read and write, each operand counted once.\n\n"
            + table(head, rows) + f"\n### Under {FLAG:.0%} of the best of their kind\n\n" + table(flags, flagged))


def growth(lines):
    if not lines:
        return ""
    batches = sorted({l["batch"] for l in lines if "batch" in l})
    rows = []
    for net in dict.fromkeys(l["network"] for l in lines if "batch" in l):
        for which in ("forward", "step"):
            found = [find(lines, network=net, batch=b, **{"pass": which}) for b in batches]
            size = next(l.get("image_size", 224) for l in found if l)
            rows.append((f"{net} {which}, {size} x {size}", *(number(l["ms_min"] / l["batch"], 1) if l else "-" for l in found)))
    text = "## Growth\n\nMilliseconds per picture by batch:\n\n" + table(("", *batches), rows)
    jobs = [(int(l["pictures"]), int(l["epochs"]), number(l["ms_min"] / 1e3), number(l["ms_min"] / l["pictures"], 3), number(l["device_bytes"] / 2**20, 0),
             number((l["resident_bytes"] - l["array_bytes"]) / 2**20, 0)) for l in lines if l.get("part") == "job"]
    head = ("pictures", "epochs", "seconds", "ms per picture", "device, MiB", "process without the pictures' array, MiB")
    return text if not jobs else text + "\nMobileNet at 64 x 64 with a frozen base, a head trained on cached features, pictures as an array in memory:\n\n" + table(head, jobs)


def memory(lines):
    ours, theirs = find(lines, who="tlvk"), find(lines, who="keras")
    if not ours or not theirs:
        return ""
    a, b = ours["growth_bytes"] / 2**20, theirs["growth_bytes"] / 2**20
    return ("## Memory\n\nVGG16 without its top, GAP, Dense 10, Adam, everything trained, 224 x 224, batch 32: the process grew by "
            f"{a:.0f} MiB, TensorFlow's by {b:.0f} MiB: **{100 * a / b:.0f} %**.\n")


def jobs(lines):
    rows = []
    for job in dict.fromkeys(l["job"] for l in lines):
        seconds = {l["case"]: l["seconds"] for l in lines if l["job"] == job}

        def times(slow, fast, digits):
            return f"{seconds[slow] / seconds[fast]:.{digits}f}" if slow in seconds and fast in seconds else "-"

        warm, fit, cold, uncached, by_hand = (number(seconds.get(case), 1) for case in ("warm", "fit", "cold", "uncached", "features by hand"))
        rows.append((job, warm, fit, f"**{times('fit', 'warm', 1)}**", cold, uncached, times("fit", "uncached", 2), by_hand, times("features by hand", "warm", 2)))
    head = ("job", "s", "Keras fit", "times faster", "cold", "uncached", "uncached against Keras", "Keras, features by hand", "against it")
    return ("## The tutorials' job\n\nA new head on a frozen base, 10 epochs, 245 pictures and 153 for validation, process start to saved file. Features empty at the start, "
            "pipelines and tuning warm; cold: nothing on disk, the driver's shader cache empty too; uncached: `--cache off`.\n\n" + table(head, rows)) if rows else ""


HOW = """## Measuring

`tlvk bench` takes less than two minutes on a processor: the device's peaks, and five networks forward, with a step of the head on a frozen base, and with a
whole step. `tlvk bench --full` adds the whole job and every distinct operation, each pass; `--parts`, `--networks`, `--batch-size`, `--image-size` and
`--filter` choose. `tlvk bench --layers resnet50` lists where the time of a step goes, kinds of layers first, then every layer and pass, the slowest first
(`--parts forward` or `head` for those). `--json` gives a line per case. Operations and layers are timed by the device's timestamps; where it has none, each
dispatch is submitted alone and timed by the host's clock, submission included. GFLOP/s count the work by definition, so that Winograd's count more than it does.
"""


def page(work, device):
    processor = next((l.split(":")[1].strip() for l in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if l.startswith("model name")), "unknown")
    parts = {part: read(work, part) for part in ("networks", "ncnn", "torch", "operations", "growth", "memory", "jobs")}
    dates = sorted({l["date"] for lines in parts.values() for l in lines})
    begin = ("# Performance\n\n"
             f"Made by `./run peers` (tests/peers/performance.py) from `tlvk bench --json` and the same work in other programs, one after the other, each alone. "
             f"Device: {device}; processor: {processor}, {len([1 for l in pathlib.Path('/proc/cpuinfo').read_text().splitlines() if l.startswith('processor')])} cores; "
             f"{' to '.join(dict.fromkeys([dates[0], dates[-1]])) if dates else 'nothing measured'}. Fastest of several runs; ratios above 1 are ours ahead.\n")
    sections = [peaks(parts["networks"]), networks(parts["networks"]), jobs(parts["jobs"]), memory(parts["memory"]), ncnn(parts["ncnn"]), torch(parts["torch"]),
                operations(parts["operations"], parts["networks"]), growth(parts["growth"])]
    return "\n".join([begin, *filter(None, sections), HOW])
