#!/bin/sh
# Fuzzes the encoder under ASan and UBSan. Usage: scripts/fuzz.sh [seconds]; default 60. Needs clang with libFuzzer
# (Debian: clang, libclang-rt-14-dev).
# A finding ends it with an error and leaves its input as crash-* in build/fuzz.
set -eu
cd "$(dirname "$0")/.."
mkdir -p build/fuzz/corpus
${CLANGXX:-clang++} -std=c++20 -g -O1 -fno-exceptions -fno-rtti -fsanitize=fuzzer,address,undefined \
  -fno-sanitize-recover=all -Inative test/fuzz/header_fuzz.cc native/tar/*.cc -o build/fuzz/header_fuzz
cd build/fuzz
./header_fuzz -max_total_time="${1:-60}" -max_len=4096 -print_final_stats=1 corpus
