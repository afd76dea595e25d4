#!/bin/sh
# The wire's tests on a debug build of the compiled wire under AddressSanitizer and
# UndefinedBehaviorSanitizer: every warning is an error, assertions are on. Linux; gcc or clang.
#
#   PYTHON=.venv/bin/python tests/wire/sanitize.sh [arguments for pytest]
set -eu
cd "$(dirname "$0")/../.."
: "${PYTHON:=python3}" "${CC:=cc}"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT

cp -R natsev tests setup.py setup.cfg pyproject.toml README.md "$build"
python=$(command -v "$PYTHON")
case $python in /*) ;; *) python=$PWD/$python ;; esac
cd "$build"
rm -f natsev/wire/_speedups*.so

sanitize='-fsanitize=address,undefined'
warnings='-Wall -Wextra -Wconversion -Wno-missing-field-initializers -Werror'
NATSEV_BUILD_EXT=yes LDFLAGS="$sanitize" \
	CFLAGS="-O1 -g -UNDEBUG $warnings $sanitize -fno-sanitize-recover=undefined -fno-omit-frame-pointer" \
	"$python" setup.py -q build_ext --inplace

# The interpreter is built without: it needs the runtime loaded first, and its own leaks do not count.
LD_PRELOAD="$($CC -print-file-name=libasan.so) $($CC -print-file-name=libubsan.so)" \
ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 PYTHONMALLOC=malloc NATSEV_BUILD_EXT=yes \
	"$python" -X faulthandler -m pytest --confcutdir=tests/wire -q tests/wire "$@"
