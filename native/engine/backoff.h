// Sleeps between looks at something that gives no event: 1 ms, doubling to 20 ms, and then to a
// twentieth of what was waited, at most 500 ms.
#pragma once

#include <algorithm>
#include <cstdint>

namespace tarspout {

class Backoff {
 public:
  int64_t Next(int64_t waited_ns = 0) {
    const int64_t delay = next_;
    next_ = std::min(next_ * 2, std::clamp(waited_ns / 20, kMost, kMostLater));
    return delay;
  }
  void Reset() { next_ = kLeast; }

 private:
  static constexpr int64_t kLeast = 1'000'000, kMost = 20'000'000;
  static constexpr int64_t kMostLater = 500'000'000;
  int64_t next_ = kLeast;
};

}  // namespace tarspout
