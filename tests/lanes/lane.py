"""Results of the lanes: one line of JSON per device, and the table made of them.

    lane.py values LANE DEVICE STATISTICS SELFTEST DEVICES TRAINING SECONDS  from lane_statistics, `tlvk selftest --json` and `tlvk devices`
    lane.py statistics LANE DEVICE OUTPUT LOG LIMITS STATUS SECONDS from lane_statistics
    lane.py cross LANE WHAT BUILT TESTS LOG SKIPS SECONDS           from a build for another system and ctest --verbose; TESTS: why none were run
    lane.py absent LANE WHY, lane.py broken LANE DEVICE WHY
    lane.py table RESULTS MARKDOWN [--print]                        prints the tables and writes them into the file, or only prints

Each ends with status 1 where something failed. $TLVK_LANE_COMMIT is the commit that ran. A lane that was not run keeps the rows that the table has of it.

A file of limits has a line for each device and shader: the most registers, the least waves, and the most spilled registers of all its pipelines. One with fewer
waves, more spills, or, of a driver that tells no waves, more registers fails; so does a shader that no line knows, until `./run lanes --accept NAME` has
written the lines of that lane anew.
"""

import json
import os
import re
import sys
import time

ORDER = ["lavapipe", "swiftshader", "radv", "mesa26", "radv25", "anv", "mingw", "arm64"]
# By what the drivers call them: RADV, ANV.
REGISTERS = ["VGPRs", "Max live registers"]
SPILLS = ["Spilled VGPRs", "Spilled SGPRs", "Spill Count"]
SCRATCH = ["Scratch size", "Scratch Memory Size"]
WAVES = ["Subgroups per SIMD"]
COLUMNS = [("compiles", "compiles"), ("values", "values"), ("gradients", "gradients"), ("training", "training run"), ("mixed", "mixed precision"),
           ("worst", "worst error/bound"), ("spills", "spills"), ("waves", "least waves"), ("seconds", "seconds"), ("when", "day, commit")]
CROSS_ORDER = ["mingw", "arm64"]
CROSS_COLUMNS = [("built", "builds"), ("programs", "test programs"), ("cases", "cases"), ("skipped", "skipped"), ("seconds", "seconds"), ("when", "day, commit")]


def lines_of(path):
    rows = []
    with open(path) as file:
        for line in file:
            try:
                rows.append(json.loads(line))
            except ValueError:  # a driver that crashed cuts a line off
                pass
    return rows


def failed(row):
    return bool(row.get("failures")) or any("FAILED" in str(row.get(key, "")) for key, _ in COLUMNS + CROSS_COLUMNS)


def emit(row):
    row["when"] = f"{time.strftime('%Y-%m-%d')}, {os.environ.get('TLVK_LANE_COMMIT', '?')}"
    print(json.dumps(row))
    columns = CROSS_COLUMNS if "built" in row else COLUMNS
    words = ", ".join(f"{name} {row[k]}" for k, name in columns if row.get(k) not in (None, ""))
    print(f"lanes: {row['lane']}: {row['device']}: {words}{' ' + row['why'] if row.get('why') else ''}", file=sys.stderr)
    for text in row.get("failures", [])[:20]:
        print(f"lanes: {row['lane']}: FAILED: {text}", file=sys.stderr)
    sys.stdout.flush()
    sys.exit(1 if failed(row) else 0)


def told(cases):
    failed = sum(not c["ok"] for c in cases)
    if not cases:
        return ""
    return f"{failed} of {len(cases)} FAILED" if failed else f"{len(cases)} cases"


def compiled(path):
    """How many pipelines a driver without statistics took, or what went wrong; nothing where they were not asked for."""
    rows = lines_of(path) if os.path.exists(path) else None
    if rows is None:
        return ""
    failures = sum("what" in r for r in rows)
    if not any("executables" in r for r in rows):
        return "FAILED: broke off"
    return f"{failures} FAILED" if failures else f"{sum('shader' in r for r in rows)} pipelines"


def values(lane, device, statistics_file, selftest, devices, training, seconds):
    lines = lines_of(selftest)
    cases = [c for c in lines if "case" in c]
    ended = next((c["exit"] for c in lines if "exit" in c), None)
    whole = ended == 0 or (ended == 1 and any(not c["ok"] for c in cases))
    mixed = [c for c in cases if c["case"].endswith(", mixed precision")]
    plain = [c for c in cases if c not in mixed]
    # A case checks forward first, and its message begins with the pass that was wrong.
    wrong_forward = [c for c in plain if not c["ok"] and (c.get("message") or "").startswith("forward")]
    row = {"lane": lane, "device": device, "training": training, "mixed": told(mixed) or "not offered", "seconds": int(seconds)}
    row["compiles"] = compiled(statistics_file)
    row["values"] = told(plain) if wrong_forward or not plain else f"{len(plain)} cases"
    row["gradients"] = told(plain) if len([c for c in plain if not c["ok"]]) > len(wrong_forward) else f"{len(plain)} cases"
    if mixed and not plain and whole:  # no others were asked for
        row["values"] = row["gradients"] = ""
    elif not plain or not whole:
        row["values"] = row["gradients"] = "FAILED: the self-test broke off"
    ratios = [c["max_error"] / c["bound"] for c in cases if c["bound"] and isinstance(c["max_error"], (int, float))]
    row["worst"] = f"{max(ratios, default=0):.3f}"
    row["failures"] = [f"{c['case']}: {c.get('message') or c['max_error']}" for c in cases if not c["ok"]]
    with open(devices) as file:
        row["driver"] = " / ".join(line.strip() for line in file if line.strip())[:400]
    emit(row)


def total(statistics, names):
    return sum(int(statistics.get(name, 0)) for name in names)


def read_limits(path):
    limits = {}
    if os.path.exists(path):
        with open(path) as file:
            for line in file:
                words = line.split("#")[0].split()
                if words:
                    limits[words[0], words[1]] = tuple(int(word) for word in words[2:])
    return limits


def write_limits(path, device, found):
    limits = {key: value for key, value in read_limits(path).items() if key[0] != device}
    limits.update({(device, shader): value for shader, value in found.items()})
    with open(path, "w") as file:
        file.write("# device, shader: most registers, least waves per SIMD, most spilled registers, of all pipelines that lane_statistics makes of it.\n"
                   "# Written by ./run lanes --accept NAME.\n")
        for (name, shader), value in sorted(limits.items()):
            file.write(f"{name} {shader} {' '.join(str(v) for v in value)}\n")


def compare(device, found, limits):
    worse = []
    for shader, (registers, waves, spills) in sorted(found.items()):
        if (device, shader) not in limits:
            worse.append(f"{shader}: no limit is known; see ./run lanes --accept")
            continue
        most, least, most_spills = limits[device, shader]
        if waves < least:
            worse.append(f"{shader}: {waves} waves of {registers} registers; the limit is {least} waves, of {most} registers")
        if waves == 0 and registers > most:
            worse.append(f"{shader}: {registers} registers; the limit is {most}")
        if spills > most_spills:
            worse.append(f"{shader}: {spills} spilled registers; the limit is {most_spills}")
    return worse


def statistics(lane, device, output, log, limits, status, seconds):
    rows = lines_of(output)
    pipelines = [r for r in rows if "shader" in r]
    failures = [f"{r['what']}: {r['failed']}" for r in rows if "what" in r]
    summary = next((r for r in rows if "executables" in r), None)
    row = {"lane": lane, "device": device, "seconds": int(seconds)}
    if not summary:
        with open(log) as file:
            last = file.read().strip().splitlines()[-1:] or ["nothing"]
        failures.append(f"broke off (status {status}) after: {last[0]}")
    elif status != "0" and not failures:
        failures.append(f"ended with status {status}")
    for kind in (REGISTERS, SPILLS) if pipelines else ():
        if not any(name in r["statistics"] for r in pipelines for name in kind):
            failures.append(f"the driver tells none of {', '.join(kind)}")
    found = {}
    for r in pipelines:
        s = r["statistics"]
        registers, waves, spills = total(s, REGISTERS), total(s, WAVES), total(s, SPILLS) + (1 if total(s, SCRATCH) and not total(s, SPILLS) else 0)
        before = found.get(r["shader"], (0, 1 << 20, 0))
        found[r["shader"]] = (max(before[0], registers), min(before[1], waves), max(before[2], spills))
    spilling = sorted(shader for shader, f in found.items() if f[2])
    row["compiles"] = f"{len(failures)} FAILED" if failures else f"{len(pipelines)} pipelines"
    row["spills"] = sum(1 for r in pipelines if total(r["statistics"], SPILLS) or total(r["statistics"], SCRATCH))
    row["waves"] = min((f[1] for f in found.values() if f[1]), default="")
    if summary:
        row["driver"] = f"{summary['device']}, {summary['driver']}"
    if pipelines:
        if os.environ.get("TLVK_LANE_ACCEPT"):
            write_limits(limits, device, found)
        worse = compare(device, found, read_limits(limits))
        if worse:
            row["spills"] = f"{row['spills']}, {len(worse)} shaders FAILED their limits"
        failures += worse
    if spilling:
        row["why"] = "spills: " + ", ".join(spilling)
    row["failures"] = failures
    emit(row)


def cross(lane, what, built, tests, log, skips, seconds):
    with open(log, errors="replace") as file:
        text = re.sub(r"^\d+: ", "", file.read().replace("\r", ""), flags=re.MULTILINE)
    with open(skips) as file:
        allowed = {tuple(line.split()[:2]) for line in file if line.strip() and not line.startswith("#")}
    cases = {kind: re.findall(r"^\[ *" + kind + r" *\] (\w+)$", text, re.MULTILINE) for kind in ("OK", "SKIPPED", "FAILED")}
    ended = re.search(r"(\d+) tests failed out of (\d+)", text)
    skipped, failures = sorted(set(cases["SKIPPED"])), []
    row = {"lane": lane, "device": what, "built": built, "seconds": int(seconds), "programs": tests}
    if ended:
        row["programs"] = f"{ended[1]} of {ended[2]} FAILED" if ended[1] != "0" else f"{ended[2]} passed"
        row["cases"] = f"{len(set(cases['FAILED']))} FAILED" if cases["FAILED"] else f"{len(cases['OK'])} passed"
        row["skipped"] = len(skipped)
        failures += [f"{name} failed" for name in sorted(set(cases["FAILED"]))] + re.findall(r"^\s*\d+ - (\w+ \(.*\))$", text, re.MULTILINE)
        failures += [f"{name} was skipped, and does not stand in {os.path.basename(skips)}" for name in skipped if (lane, name) not in allowed]
    elif not tests and "FAILED" not in built:
        row["programs"] = "FAILED: broke off"
    row["failures"] = failures
    emit(row)


def absent(lane, why):
    print(json.dumps({"lane": lane, "device": "", "why": "not run: " + why}))


def broken(lane, device, why):
    emit({"lane": lane, "device": device, "compiles": "FAILED", "why": why})


# --- the tables ---------------------------------------------------------------------------------------------------------------------


def line_of(row, columns):
    cells = [str(row.get(key, "")) for key, _ in columns]
    device = re.sub(r"^\*? *\d+ +", "", row.get("driver", row["device"]).split(" / ")[0].strip()) or row.get("why", "")
    name = f"{row['device']}: {device}" if row["device"] and device != row["device"] else device
    return f"| {row['lane']} | {name} | " + " | ".join(cell or "-" for cell in cells) + " |"


def lines_of_lane(folder, lane, before, of_cross):
    """Of the run, or, where there was none, of the table as it is; and whether something failed."""
    path = os.path.join(folder, lane + ".jsonl")
    rows = lines_of(path) if os.path.exists(path) else []
    columns = CROSS_COLUMNS if of_cross else COLUMNS
    ran = [row for row in rows if ("built" in row) == of_cross and not row.get("why", "").startswith("not run")]
    kept = [line for line in before.splitlines() if line.startswith(f"| {lane} | ") and "| not run" not in line]
    if not ran and kept:
        return kept, False
    return [line_of(row, columns) for row in ran or [{"lane": lane, "device": "", "why": "not run"}]], any(failed(row) for row in ran)


def table(folder, markdown, only_print=""):
    with open(markdown) as file:
        text = file.read()
    wrong = False
    for name, order, columns in (("lanes", ORDER, COLUMNS), ("builds", CROSS_ORDER, CROSS_COLUMNS)):
        begin_mark, end_mark = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        begin, end = text.index(begin_mark) + len(begin_mark), text.index(end_mark)
        lines = ["| lane | device | " + " | ".join(title for _, title in columns) + " |", "|---" * (len(columns) + 2) + "|"]
        if name == "builds":
            lines[0] = lines[0].replace("| device |", "| for what, by what |")
        for lane in order:
            found, bad = lines_of_lane(folder, lane, text[begin:end], name == "builds")
            lines += found
            wrong = wrong or bad
        print("\n".join(lines) + "\n")
        text = text[:begin] + "\n" + "\n".join(lines) + "\n" + text[end:]
    if not only_print:
        with open(markdown, "w") as file:
            file.write(text)
    sys.exit(1 if wrong else 0)


COMMANDS = {"values": values, "statistics": statistics, "cross": cross, "absent": absent, "broken": broken, "table": table}

if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    COMMANDS[sys.argv[1]](*sys.argv[2:])
