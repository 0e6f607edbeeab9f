#!/usr/bin/env bash
# Compares the inner loops of every processor variant with the portable ones: on this processor, and, where the
# cross-compiler and the emulator are installed (Debian: gcc-aarch64-linux-gnu, qemu-user), the NEON ones for 64-bit Arm.
# Scripts/check-variants.sh [--install]    --install: gets those two first, if it may
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly flags=(-O2 -std=c17 -D_GNU_SOURCE -Wall -Wextra -Werror
    -IBenchmarks/Sources/CPUKernels{/include,,/attention,/weights} -IBenchmarks/Sources/kernel-loops)
readonly sources=(Benchmarks/Sources/CPUKernels/{,*/}*.c Benchmarks/Sources/kernel-loops/*.c)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# check TITLE COMMAND…: runs it and shows what matters.
check() {
    local title=$1 output
    shift
    if ! output=$("$@"); then
        grep -E 'FAILED|failures' <<<"$output" >&2 || true
        echo "error: $title: variants differ" >&2
        return 1
    fi
    echo "$title: $(tail -1 <<<"$output")"
}

compiler=$(command -v clang || true)
[[ -n $compiler ]] || { echo "error: clang is needed; Swift's toolchain has it" >&2; exit 1; }
"$compiler" "${flags[@]}" "${sources[@]}" -lm -o "$folder/native"
check "$(uname -m)" "$folder/native" check

if [[ $(uname -m) == aarch64 || $(uname -m) == arm64 ]]; then exit 0; fi
if [[ ${1:-} == --install ]] && ! command -v aarch64-linux-gnu-gcc qemu-aarch64 >/dev/null 2>&1; then
    as_root=()
    [[ $(id -u) -eq 0 ]] || as_root=(sudo -n)
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user >/dev/null 2>&1 || true
fi
if ! command -v aarch64-linux-gnu-gcc >/dev/null || ! command -v qemu-aarch64 >/dev/null; then
    echo "NOTICE: aarch64-linux-gnu-gcc or qemu-aarch64 is missing; the NEON kernels are not checked"
    exit 0
fi
# Clang compiles, as it does in the package; GCC's tools link.
for source in "${sources[@]}"; do
    "$compiler" --target=aarch64-linux-gnu --sysroot=/usr/aarch64-linux-gnu -isystem /usr/aarch64-linux-gnu/include \
        "${flags[@]}" -c "$source" -o "$folder/$(basename "$source" .c).o"
done
aarch64-linux-gnu-gcc -static "$folder"/*.o -lm -o "$folder/arm"
check "aarch64, emulated" qemu-aarch64 "$folder/arm" check
