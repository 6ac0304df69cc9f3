#!/bin/sh
# documented.sh DOCUMENT - the lines of each block of C and Python in docs/tutorials.md occur, in order, in the program that is named above it; where the
# block does not say "..." between them they follow one another. Every program has its blocks.
set -eu
document=$1
folder=$(dirname "$document")/../apps/tutorials
awk -v folder="$folder" '
    function trimmed(s) { sub(/^[ \t]+/, "", s); sub(/[ \t]+$/, "", s); return s }
    function fail(why) { printf "FAILED: %s, line %d: %s\n", FILENAME, FNR, why; failed = 1 }
    function load(file,    line, n) {
        n = 0
        while ((getline line < (folder "/" file)) > 0) source[++n] = trimmed(line)
        close(folder "/" file)
        return n
    }
    /^\[[a-z0-9_]+\.(c|py)\]\(\.\.\/apps\/tutorials\// { file = $0; sub(/^\[/, "", file); sub(/\].*/, "", file); next }
    /^```(c|python)$/ {
        inside = 1; at = 0; apart = 1; blocks++
        count = load(file)
        if (!count) fail("no program " file)
        if ((/^```c$/) != (file ~ /\.c$/)) fail("a block of the other language for " file)
        used[file] = 1
        next
    }
    /^```$/ { inside = 0; next }
    inside && $0 == "..." { apart = 1; next }
    inside {
        line = trimmed($0)
        if (line == "") { while (!apart && at < count && source[at + 1] == "") at++; next }
        do at++; while (apart && at <= count && source[at] != line)
        if (at > count || source[at] != line) { fail("not in " file " at its place: " line); at = count + 1 }
        apart = 0
    }
    END {
        while (("ls " folder) | getline name) {
            if (name ~ /\.(c|py)$/) { programs++; if (!(name in used)) { printf "FAILED: nothing of %s is shown\n", name; failed = 1 } }
        }
        printf "%d blocks of %d programs\n", blocks, programs
        exit failed || !blocks || !programs
    }' "$document"
