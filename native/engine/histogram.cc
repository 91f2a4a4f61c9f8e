#include "engine/histogram.h"

#include <algorithm>
#include <bit>

namespace tarspout {

void Histogram::Add(int64_t ns) {
  const auto value = static_cast<uint64_t>(std::max<int64_t>(ns, 1));
  const int log = 63 - std::countl_zero(value);
  const auto quarter = log >= 2 ? (value >> (log - 2)) & 3 : 0;
  const std::lock_guard lock(mutex_);
  ++buckets_[static_cast<size_t>(log) * 4 + quarter];
  ++count_;
  max_ = std::max(max_, ns);
}

int64_t Histogram::Quantile(double part) const {
  const std::lock_guard lock(mutex_);
  const auto wanted = static_cast<uint64_t>(part * static_cast<double>(count_));
  uint64_t seen = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen > wanted)
      return std::min(max_, ((int64_t{4} + static_cast<int64_t>(i % 4) + 1) << (i / 4)) / 4);
  }
  return max_;
}

int64_t Histogram::Max() const {
  const std::lock_guard lock(mutex_);
  return max_;
}

}  // namespace tarspout
