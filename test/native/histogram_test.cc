// Quantiles of durations, told within a quarter.
#include "engine/histogram.h"

#include <cstdint>

#include "check.h"

namespace {

using tarspout::Histogram;

TEST("a quantile is at most a quarter above the value, and never above the longest") {
  Histogram histogram;
  for (int64_t ns = 1; ns <= 1000; ++ns) histogram.Add(ns * 1000);
  for (const double part : {0.1, 0.5, 0.9, 0.99}) {
    const double exact = part * 1'000'000;
    const auto told = static_cast<double>(histogram.Quantile(part));
    CHECK(told >= exact);
    CHECK(told <= 1.25 * exact + 1000);
  }
  CHECK(histogram.Max() == 1'000'000);
  CHECK(histogram.Quantile(1) == 1'000'000);
}

TEST("nothing, durations of nothing, and the longest there can be") {
  Histogram histogram;
  CHECK(histogram.Quantile(0.5) == 0);
  CHECK(histogram.Max() == 0);
  histogram.Add(0);
  histogram.Add(-1);
  CHECK(histogram.Quantile(0.99) == 0);
  histogram.Add(INT64_MAX);
  CHECK(histogram.Max() == INT64_MAX);
}

}  // namespace

int main() { return check::RunAll("histogram"); }
