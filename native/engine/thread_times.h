// What the kernel counts of a thread: how often it slept, and how long it waited for a processor.
#pragma once

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

}  // namespace tarspout
