#!/usr/bin/env bash
# Counts the instructions of inner loops, which do not vary with what else the machine does.
#
# Benchmarks/count.sh              prints instructions an element (a code, a weight, a value) and compares them with counts.txt
# Benchmarks/count.sh --update     writes counts.txt
#
# Needs clang and valgrind. A loop that takes 3 % more than counts.txt says is a regression: exit code 1. Counted is the AVX2
# variant: the emulator has no AVX-512.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly loops=(tile-2-1 tile-3-1 tile-4-1 tile-8-1 tile-2-3 tile-3-3 tile-2-3-hybrid tile-3-3-coarse tile-3-6 tile-4-4 tile-3-3-float
    half-3 quantize exponentials weights-Q4_0 weights-Q4_1 weights-Q5_0 weights-Q8_0 weights-Q4_K weights-Q5_K weights-Q6_K
    weights-Q4_1-float weights-Q4_K-float)
readonly variant=avx2

command -v valgrind >/dev/null || { echo "error: valgrind is needed: apt-get install valgrind" >&2; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
clang -O2 -std=c17 -D_GNU_SOURCE -ISources/CPUKernels{/include,,/attention,/weights} -ISources/kernel-loops \
    Sources/CPUKernels/{,*/}*.c Sources/kernel-loops/*.c -lm -o "$folder/loops"

# Instructions of LOOP run N times.
instructions() {
    valgrind --tool=callgrind --callgrind-out-file="$folder/out" "$folder/loops" run "$1" "$2" "$variant" \
        >"$folder/elements" 2>"$folder/errors" || { cat "$folder/errors" >&2; exit 1; }
    awk '/^(summary|totals):/ { print $2; exit }' "$folder/out"
}

status=0
for loop in "${loops[@]}"; do
    # The difference of two runs is free of what starting takes.
    few=$(instructions "$loop" 10)
    first=$(<"$folder/elements")
    many=$(instructions "$loop" 110)
    second=$(<"$folder/elements")
    awk -v i=$((many - few)) -v e=$((second - first)) -v n="$loop" 'BEGIN { printf "%-20s %.4f\n", n, i / e }'
done >"$folder/counts"
if [[ ${1:-} == --update ]]; then
    cp "$folder/counts" counts.txt
    cat counts.txt
    exit 0
fi
while read -r name now; do
    was=$(awk -v n="$name" '$1 == n { print $2 }' counts.txt)
    awk -v n="$name" -v now="$now" -v was="${was:-0}" 'BEGIN {
        worse = was > 0 && now > 1.03 * was
        printf "%-20s %8.4f", n, now
        if (was > 0) printf "  %+5.1f %%", 100 * (now / was - 1)
        print worse ? "  REGRESSION" : ""
        exit worse
    }' || status=1
done <"$folder/counts"
exit $status
