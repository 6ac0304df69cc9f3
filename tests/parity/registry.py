"""Holds every row of the registry of official files against what keras.applications asks keras.utils.get_file for, and the class index against
decode_predictions: name, address, hash and cache folder.

Usage: registry.py DUMP_REGISTRY
DUMP_REGISTRY is the program built from dump_registry.c.
"""
import sys
import warnings

import oracle

import keras
import numpy as np
from keras.src.utils import file_utils

A = keras.applications
NETS = {name.lower(): getattr(A, name) for name in dir(A) if name[0].isupper()}


class Asked(Exception):
    """Carries what get_file was asked for out of the function that asked: no weights are read."""


def ask(fname, origin, cache_subdir=None, file_hash=None, **others):
    raise Asked({"file": fname, "address": origin, "hash": file_hash, "folder": cache_subdir, "others": others})


def asked_by_keras(row):
    net = row["net"]
    given = {}
    if row["size"]:
        given = {"input_shape": (row["size"], row["size"], 3), "alpha": row["alpha"]}
    try:
        if net == "imagenet_class_index":
            A.imagenet_utils.decode_predictions(np.zeros((1, 1000), np.float32))
        else:
            NETS[net](weights="imagenet", include_top=not row["no_top"], **given)
    except Asked as asked:
        return asked.args[0]
    finally:
        keras.backend.clear_session()
    raise RuntimeError(f"{net}: Keras asked for no file")


def main():
    rows = oracle.lines(oracle.run(sys.argv[1]))
    file_utils.get_file = ask
    covered = {row["net"] for row in rows} - {"imagenet_class_index"}
    oracle.check_that(f"{len(NETS)} networks of keras.applications have rows", covered == set(NETS), covered ^ set(NETS) or "")
    for row in rows:
        with warnings.catch_warnings(action="ignore"):
            wanted = asked_by_keras(row)
        ours = {"file": row["file"], "address": row["address"], "hash": row["hash"], "folder": "models", "others": {}}
        different = {key: (ours[key], wanted[key]) for key in ours if ours[key] != wanted[key]}
        name = " ".join([row["net"], *(["no_top"] if row["no_top"] else []), *([f"{row['alpha']:g} {row['size']}"] if row["size"] else [])])
        oracle.check_that(f"{name}: {row['file']}", not different, different or "")
        if row["hash"]:
            oracle.check_that(f"{name}: {row['kind']}", len(row["hash"]) == {"md5": 32, "sha256": 64}[row["kind"]])
    oracle.finish()


if __name__ == "__main__":
    main()
