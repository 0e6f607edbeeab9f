#!/usr/bin/env bash
# What the Makefile's targets do. Run from anywhere: Scripts/setup.sh demo|test|build|model|lint|format|clean|counts
#
# Settings, from the environment:
#   INNERQ_DEFAULT  the model to get and run (default smollm2-135m)
#   INNERQ_CACHE    the demo's cache policy (default innerq-base)
#   INNERQ_VECTORS  a folder of golden vectors for `innerq verify` (default: none)
#   INNERQ_NVRTC    the file libnvrtc.so, which compiles the CUDA kernels (default: one is got for `test`)
#   INNERQ_ALL_KERNELS  1: `test` compiles every variant of every CUDA kernel, not only a choice (takes long)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly model=${INNERQ_DEFAULT:-smollm2-135m}
readonly cache=${INNERQ_CACHE:-innerq-base}
readonly vectors=${INNERQ_VECTORS:-}
readonly nvrtc_version=13.0.88
readonly swift_files=(Package.swift Sources Tests Benchmarks/Package.swift)

say() {
    if [[ -t 1 ]]; then printf '\033[1m== %s\033[0m\n' "$*"; else printf '== %s\n' "$*"; fi
}
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

# --- What must be there -------------------------------------------------------------------------

# Prints the Debian packages that are missing, one a line.
missing_packages() {
    has python3 || echo python3
    python3 -m pip --version >/dev/null 2>&1 || echo python3-pip
    has curl || echo curl
    has git || echo git
    # Swift's own needs on a machine where only the toolchain was unpacked.
    has ld || echo binutils
    [[ -n $(compgen -G '/usr/lib/gcc/*/*/libstdc++.*') ]] || echo libstdc++-12-dev
    [[ -e /etc/ssl/certs/ca-certificates.crt ]] || echo ca-certificates
}

install_packages() {
    local as_root=()
    has apt-get || fail "install these with your package manager, then run this again: $*"
    if [[ $(id -u) -ne 0 ]]; then
        has sudo || fail "become root and run: apt-get install $*"
        as_root=(sudo)
        [[ -t 0 ]] || as_root=(sudo -n)
    fi
    say "Installing $*"
    "${as_root[@]}" apt-get update -qq || fail "apt-get update failed; as root run: apt-get install $*"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null ||
        fail "apt-get could not install them; as root run: apt-get install $*"
}

tools() {
    if [[ $(uname -s) == Linux ]]; then
        local packages
        mapfile -t packages < <(missing_packages)
        if [[ ${#packages[@]} -gt 0 ]]; then install_packages "${packages[@]}"; fi
    fi
    has swift || fail "Swift 6.3 is needed and not on the PATH; see https://www.swift.org/install"
    local version
    version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -1)
    local major=${version%%.*} minor=${version#*.}
    if ((${major:-0} < 6 || (${major:-0} == 6 && ${minor:-0} < 3))); then
        fail "Swift 6.3 or newer is needed; this is ${version:-unknown}. See https://www.swift.org/install"
    fi
}

# --- Steps --------------------------------------------------------------------------------------

build() {
    tools
    say "Building for release (some minutes the first time)"
    swift build -c release --product innerq
}

innerq() { "$(swift build -c release --show-bin-path)/innerq" "$@"; }

lint() {
    say "Checking the format"
    swift format lint --strict --parallel --recursive "${swift_files[@]}"
}

format() { swift format --in-place --parallel --recursive "${swift_files[@]}"; }

# Gets the model; without a network the caller goes on, and tests that need it say so themselves.
model() {
    say "Getting $model"
    innerq pull "$model"
}

# Gets NVRTC, so that the tests can compile the CUDA kernels on a machine that has no CUDA, and names it to them.
# Where it cannot be had, those tests say themselves that they are skipped.
nvrtc() {
    [[ -z ${INNERQ_NVRTC:-} ]] || return 0
    [[ $(uname -sm) == "Linux x86_64" ]] || return 0
    local folder=${XDG_CACHE_HOME:-$HOME/.cache}/innerq/nvrtc-$nvrtc_version
    local library=nvidia/cu13/lib/libnvrtc.so.13
    if [[ ! -e $folder/$library ]]; then
        say "Getting NVRTC $nvrtc_version, which compiles the CUDA kernels"
        # Beside its place and then moved, so that what is there is whole.
        mkdir -p "${folder%/*}"
        local part
        part=$(mktemp -d "$folder.XXXXXX")
        if ! python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
            --root-user-action ignore --target "$part" "nvidia-cuda-nvrtc==$nvrtc_version"; then
            rm -rf "$part"
            return 1
        fi
        rm -rf "$folder"
        mv "$part" "$folder" || rm -rf "$part"
    fi
    [[ -e $folder/$library ]] || return 1
    export INNERQ_NVRTC=$folder/$library
}

# Gets a browser, in which the tests open the report page. Without one they say themselves that they are skipped.
browser() {
    has chromium && return 0
    [[ $(uname -s) == Linux ]] && has apt-get || return 1
    (install_packages chromium fonts-dejavu-core)
}

demo() {
    build
    model
    say "Continuing docs/demo/long-text.txt with the cache $cache"
    innerq generate --model "$model" --cache "$cache" --file docs/demo/long-text.txt \
        --max-tokens 64 --temperature 0
}

run_tests() {
    tools
    lint
    say "Building the tests for release (some minutes the first time)"
    swift build -c release --build-tests
    model || say "NOTICE: $model could not be got; the tests that need it are skipped"
    nvrtc || say "NOTICE: NVRTC could not be got; the tests that compile CUDA kernels are skipped"
    browser || say "NOTICE: Chromium could not be got; the tests that open the report page are skipped"
    say "Running the tests"
    swift test -c release --skip-build
    say "Verifying the kernels against their oracles"
    if [[ -n $vectors ]]; then innerq verify --vectors "$vectors"; else innerq verify; fi
    say "Comparing the kernels' variants, NEON's on an emulator"
    Scripts/check-variants.sh --install
}

# Counts the instructions of inner loops and compares them with what is on record.
counts() {
    has valgrind || install_packages valgrind
    Benchmarks/count.sh
}

clean() { swift package clean; }

case ${1:-} in
demo | build | lint | format | clean | counts) "$1" ;;
model)
    build
    model
    ;;
test) run_tests ;;
*) fail "usage: Scripts/setup.sh demo|test|build|model|lint|format|clean|counts" ;;
esac
