#!/bin/sh
# Prints what encoding one header costs: instructions (callgrind, the same in every run) and nanoseconds (median of nine).
# Needs g++ and valgrind.
set -eu
cd "$(dirname "$0")/.."
mkdir -p build/header-cost
program=build/header-cost/header-cost
${CXX:-g++} -std=c++20 -O3 -fno-exceptions -fno-rtti -Inative bench/header-cost.cc native/tar/*.cc -o "$program"

instructions() {
  valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" 2>&1 >/dev/null |
    sed -n 's/.*Collected : //p'
}

echo '| header | instructions | ns |'
echo '| --- | --- | --- |'
for name in template-20 template-100 template-split-151 general-20 general-pax-mtime general-pax-path-300; do
  # The difference of two counts leaves out start and end of the program.
  cost=$((($(instructions $name 11000) - $(instructions $name 1000)) / 10000))
  ns=$(for _ in 1 2 3 4 5 6 7 8 9; do "$program" $name 1000000; done | sort -n | sed -n 5p)
  echo "| $name | $cost | $ns |"
done
