"""Runs a program, then prints a JSON line with its seconds from start to end and the largest resident size of it and its children.

    python3 timed.py PROGRAM [ARGUMENT...]
"""
import json
import resource
import subprocess
import sys
import time

began = time.perf_counter()
status = subprocess.call(sys.argv[1:])
seconds = time.perf_counter() - began
print("\n" + json.dumps({"seconds": seconds, "resident_bytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024}))
sys.exit(status)
