"""What the comparisons with Keras share: quiet start, one line per check with its figure and bound, arrays from the dump programs."""
import json
import os
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import numpy as np

passed = failed = 0
left_out = []


def check(name, figure, bound, note=""):
    """The figure may be as large as the bound; anything else, NaN too, is a failure."""
    global passed, failed
    ok = bool(figure <= bound)
    passed, failed = passed + ok, failed + (not ok)
    print(f"{'ok' if ok else 'FAILED':6} {name}: {figure:.3g} of at most {bound:.3g}{' ' + note if note else ''}", flush=True)
    return ok


def check_that(name, ok, note=""):
    global passed, failed
    passed, failed = passed + bool(ok), failed + (not ok)
    print(f"{'ok' if ok else 'FAILED':6} {name}{': ' + str(note) if note else ''}", flush=True)
    return ok


def skipped(why):
    left_out.append(why)


def finish():
    """CTest takes a driver that says "skipped: " as skipped whatever its status is, so that a failure must not say it."""
    for why in left_out:
        print(f"{'left out' if failed else 'skipped'}: {why}")
    print(f"{passed} passed, {failed} failed, {len(left_out)} skipped")
    sys.exit(1 if failed or not passed + len(left_out) else 0)


def run(*command):
    """Standard output of a program; its own words when it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(str(word) for word in command)}: status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def read_arrays(raw, listed, kind, start=0):
    """Arrays as a dump program's "arrays" lists them, from the flat array `raw` of its file; and where the next one begins."""
    arrays = {}
    for name, shape in listed:
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = raw[start : start + count].reshape(shape).astype(kind)
        start += count
    return arrays, start


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_data(*parts):
    """A path below TLVK_TEST_DATA, or None."""
    root = os.environ.get("TLVK_TEST_DATA")
    path = os.path.join(root, *parts) if root else None
    return path if path and os.path.exists(path) else None
