// The engine: one native thread per process that does all writing and waiting, for all FIFOs. Only
// a small archive that nothing stands before is written on the thread that hands it over.
//
// It sleeps in epoll over an eventfd (wake-ups from JavaScript threads), the inotify queue and the
// write ends that are full, until the next channel's deadline. It is a leaked singleton, the one
// mutable global: nothing runs at exit, and the addon is linked so that it is never unloaded under
// the thread.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "engine/copier.h"
#include "engine/thread_times.h"
#include "fifo/fd.h"
#include "fifo/watch.h"

namespace tarspout {

class Channel;

inline constexpr int64_t kNever = INT64_MAX;
int64_t NowNs();  // CLOCK_MONOTONIC

class Engine {
 public:
  static Engine& Get();

  // ---- any thread ----
  // Has the channel's Step run soon. The first call makes the channel known.
  void Schedule(std::shared_ptr<Channel> channel);

  // The channel's Step at once, on this thread, again and again for patience_ns while it is
  // sending. False: the engine is at work, or must look at it too: Schedule() it.
  bool TryStep(Channel* channel, int64_t patience_ns);

  // From now on it matters when something was seen, which costs each sleep some system calls.
  void TimeSights() { times_sights_.store(true); }

  // ---- whoever steps ----
  // Hands everything the inotify queue holds to the channels it is about.
  void DrainSights();
  // Watches the FIFO at a path for a channel. False: not possible, the channel goes on without.
  bool Watch(Channel* channel, const std::string& path, bool with_reads);
  void Unwatch(Channel* channel);
  // Wakes the channel whenever its write end, which was full, takes bytes again, and when the last
  // reader left; until it is closed.
  void WatchRoom(Channel* channel, int fd);

  // ---- engine thread ----
  Copier& copier() { return copier_; }

 private:
  static constexpr int kEvents = 32;

  Engine();
  void Run();
  void StepDue();
  void TakeScheduled();
  int64_t NextDeadline() const;
  int Sleep(int64_t deadline, epoll_event* events);
  void Hear(const epoll_event* events, int count);

  fifo::Fd epoll_;
  fifo::Fd wakeup_;

  // Held by the one that steps channels.
  std::mutex stepping_;
  fifo::Watch watch_;
  std::unordered_map<int, Channel*> watched_;  // by watch descriptor
  std::unordered_map<Channel*, std::shared_ptr<Channel>> channels_;
  int64_t sleeps_until_ = 0;
  int64_t empty_at_ = 0;  // the inotify queue was: what it holds was seen later

  // Engine thread only.
  int64_t slept_until_ = 0;             // it slept, and what woke it came no earlier
  std::unique_ptr<ThreadTimes> times_;  // once sights are timed
  Copier copier_;

  std::atomic<bool> times_sights_{false};
  std::atomic<bool> is_sleeping_{false};
  std::mutex mutex_;
  std::vector<std::shared_ptr<Channel>> scheduled_;  // guarded by mutex_
};

}  // namespace tarspout
