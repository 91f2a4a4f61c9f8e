// What the kernel counts of a thread: how often it slept, how long it waited for a processor, and
// how long it had one.
#pragma once

#include <time.h>

#include <cstdint>

#include "fifo/fd.h"

namespace tarspout {

class ThreadTimes {
 public:
  ThreadTimes();  // of the thread that calls it, and is asked by it

  struct Counts {
    int64_t sleeps = 0;
    int64_t waited_ns = 0;  // 0 where the kernel does not tell (/proc/thread-self/schedstat)
  };
  Counts Now() const;

 private:
  fifo::Fd schedstat_;
};

// Whether a thread leaves its processor to others most of the time.
class ThreadUse {
 public:
  ThreadUse();  // of the thread that calls it

  bool IsLow(int64_t now_ns);  // asked by any one thread

 private:
  bool is_known_;
  clockid_t clock_;
  int64_t looked_at_ = 0;
  int64_t ran_ns_ = 0;
  bool is_low_ = false;
};

}  // namespace tarspout
