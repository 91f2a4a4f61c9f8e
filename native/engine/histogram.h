// Durations by powers of two and their quarters: enough for p50 and p99.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>

namespace tarspout {

// Any thread.
class Histogram {
 public:
  void Add(int64_t ns);
  int64_t Quantile(double part) const;
  int64_t Max() const;

 private:
  mutable std::mutex mutex_;
  std::array<uint64_t, 256> buckets_{};
  uint64_t count_ = 0;
  int64_t max_ = 0;
};

}  // namespace tarspout
