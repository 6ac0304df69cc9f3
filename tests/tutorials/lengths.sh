#!/bin/sh
# lengths.sh FOLDER - fails where a tutorial in C is longer than 1.5 times its Keras original, counted in lines that are neither blank nor comment,
# or where one of the two is missing.
set -eu

# Lines of a C file without its block comments; of a Python file without its docstrings.
count_c() {
    awk '{
        line = $0
        while (1) {
            if (inside) { end = index(line, "*/"); if (!end) { line = ""; break } line = substr(line, end + 2); inside = 0 }
            begin = index(line, "/*"); if (!begin) break
            kept = kept substr(line, 1, begin - 1); line = substr(line, begin + 2); inside = 1
        }
        line = kept line; kept = ""
        if (line ~ /[^ \t]/ && line !~ /^[ \t]*\/\//) lines++
    } END { print lines + 0 }' "$1"
}
count_python() {
    awk '
        inside { if (/"""/) inside = 0; next }
        /^[ \t]*"""/ { if (gsub(/"""/, "&") < 2) inside = 1; next }
        /[^ \t]/ && !/^[ \t]*#/ { lines++ }
        END { print lines + 0 }' "$1"
}

status=0 programs=0
for c in "$1"/*.c; do
    python=${c%.c}.py name=$(basename "$c" .c)
    if [ ! -e "$python" ]; then echo "FAILED: $name has no Keras original"; status=1; continue; fi
    in_c=$(count_c "$c") in_python=$(count_python "$python") programs=$((programs + 1))
    if [ "$in_python" -gt 0 ] && [ $((2 * in_c)) -le $((3 * in_python)) ]; then verdict=ok; else verdict='FAILED: too long'; status=1; fi
    printf '%-18s C %3d, Keras %3d, %s\n' "$name" "$in_c" "$in_python" "$verdict"
done
for python in "$1"/*.py; do
    if [ ! -e "${python%.py}.c" ]; then echo "FAILED: $(basename "$python") has no C"; status=1; fi
done
[ "$programs" -gt 0 ] || { echo "FAILED: no programs in $1"; status=1; }
exit $status
