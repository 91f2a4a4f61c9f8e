#!/bin/bash
# Builds the addon with ASan and UBSan into build/sanitized, and runs the tests that use it, then scripts/leaks.js with leaks
# looked for. Needs g++ and its sanitizers. Usage: scripts/sanitize.sh [test file of dist-test ...].
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
out=$root/build/sanitized

# binding.gyp as it is, in a folder of its own.
mkdir -p "$out"
ln -sfn "$root/native" "$out/native"
ln -sfn "$root/node_modules" "$out/node_modules"
cp binding.gyp "$out"
prefix=$(node -p 'path.dirname(path.dirname(process.execPath))')
headers=()
if [ -e "$prefix/include/node/node_api.h" ]; then headers=("--nodedir=$prefix"); fi
flags='-O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g'
CXXFLAGS=$flags LDFLAGS=$flags node_modules/.bin/node-gyp rebuild --silent -C "$out" ${headers[@]+"${headers[@]}"} >/dev/null

make -s -C test/readers
node_modules/.bin/tsc -p test/tsconfig.json

# Reports go to files: a test may not show what its child process printed. Children without Node inherit the preload, and
# have leaks of their own, so leaks are looked for below.
rm -f "$out"/report.*
export TARSPOUT_ADDON=$out/build/Release/tarspout.node
export LD_PRELOAD=$("${CXX:-g++}" -print-file-name=libasan.so)
# Some tests free a body's memory while it is queued, which the kernel may read and ASan would end the process for.
echo interceptor_name:writev >"$out/asan.supp"
export ASAN_OPTIONS=detect_leaks=0:suppressions=$out/asan.supp:log_path=$out/report UBSAN_OPTIONS=print_stacktrace=1:log_path=$out/report
files=("$@")
if [ $# -eq 0 ]; then
  files=(dist-test/{spout,fifo,drop-in,tar,base}/*.test.js dist-test/receiver/fifo-reader.test.js)
fi
# Left out: what times or weighs the process itself, and what needs freed memory to be unmapped, which ASan keeps.
match=('--match=*' '--match=!memory that is gone*' '--match=!*no CPU' '--match=!*event loop*' '--match=!*stay flat')
failed=0
node_modules/.bin/ava --timeout=5m "${match[@]}" "${files[@]}" || failed=$?

ASAN_OPTIONS=detect_leaks=1:log_path=$out/report node --expose-gc scripts/leaks.js 20000 1000 || failed=$?

if compgen -G "$out/report.*" >/dev/null; then
  cat "$out"/report.*
  failed=1
fi
exit "$failed"
