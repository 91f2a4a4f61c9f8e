// A thread that copies for the engine, on the processor where the reader then reads.
//
// What one processor copies into a pipe and another one out of it costs both of them several times
// what it costs on one: the bytes, their pages and the kernel's accounts of them go from cache to
// cache. A reader is woken on the processor where it ran last if that is idle, else on another idle
// one, and so not on that of the engine, which is awake to wake it. While the engine moves the
// bytes on, the copier sleeps: the reader takes its place, and finds the bytes in its cache.
#pragma once

#include <pthread.h>
#include <sys/uio.h>

#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "engine/cheaper_way.h"
#include "fifo/stage.h"

namespace tarspout {

class Copier {
 public:
  // stage->Copy(), on the copier's thread or on the caller's, whichever is done sooner. Engine
  // thread only.
  int64_t Copy(fifo::Stage* stage, int64_t position, const iovec* pieces, int count);

 private:
  struct Job {
    fifo::Stage* stage;
    int64_t position;
    const iovec* pieces;
    int count;
    int64_t bytes = 0;  // what came of it
  };

  bool IsOfUse();
  int64_t Delegate(Job job);
  void Serve();
  void KeepApart();

  // Engine thread only.
  enum class Use : uint8_t { kUnknown, kNone, kSome };
  Use use_ = Use::kUnknown;
  CheaperWay way_;  // the second is the thread

  std::mutex mutex_;  // guards what follows
  std::condition_variable asked_;
  std::condition_variable copied_;
  Job* job_ = nullptr;
  pthread_t thread_;
  int processor_ = -1;  // where it copied last
};

}  // namespace tarspout
