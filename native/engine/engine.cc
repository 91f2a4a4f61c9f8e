#include "engine/engine.h"

#include <linux/time_types.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "engine/channel.h"
#include "engine/thread.h"

namespace tarspout {
namespace {

constexpr uint64_t kWakeupTag = 1;
constexpr uint64_t kWatchTag = 2;

void Add(int epoll, int fd, uint64_t tag) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = tag;
  ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

// epoll_wait with a timeout in nanoseconds where the kernel has it (5.11), else in whole
// milliseconds.
int Wait(int epoll, epoll_event* events, int count, int64_t timeout_ns) {
#ifdef SYS_epoll_pwait2
  static bool has_pwait2 = true;  // engine thread only
  if (has_pwait2) {
    __kernel_timespec timeout{timeout_ns / 1'000'000'000, timeout_ns % 1'000'000'000};
    const long ready = ::syscall(SYS_epoll_pwait2, epoll, events, count,
                                 timeout_ns == kNever ? nullptr : &timeout, nullptr, 0);
    if (ready >= 0 || errno != ENOSYS) return static_cast<int>(ready);
    has_pwait2 = false;
  }
#endif
  const int64_t timeout_ms = timeout_ns == kNever ? -1 : (timeout_ns + 999'999) / 1'000'000;
  return ::epoll_wait(epoll, events, count,
                      static_cast<int>(std::min<int64_t>(timeout_ms, 60'000)));
}

// Writing to a FIFO without a reader shall end in EPIPE only, whatever this process does with
// SIGPIPE. Node ignores it, and to see that costs a third of blocking it.
class SigpipeBlocked {
 public:
  SigpipeBlocked() {
    struct sigaction action;
    is_ignored_ = ::sigaction(SIGPIPE, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
    if (is_ignored_) return;
    sigemptyset(&sigpipe_);
    sigaddset(&sigpipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &sigpipe_, &before_);
  }
  ~SigpipeBlocked() {
    if (is_ignored_ || sigismember(&before_, SIGPIPE) == 1) return;
    const timespec at_once{};
    while (::sigtimedwait(&sigpipe_, nullptr, &at_once) > 0) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  SigpipeBlocked(const SigpipeBlocked&) = delete;
  SigpipeBlocked& operator=(const SigpipeBlocked&) = delete;

 private:
  bool is_ignored_;
  sigset_t sigpipe_;
  sigset_t before_;
};

}  // namespace

int64_t NowNs() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

Engine& Engine::Get() {
  static Engine& engine = *new Engine();
  return engine;
}

Engine::Engine()
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)), wakeup_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  Add(epoll_.get(), wakeup_.get(), kWakeupTag);
  if (watch_.IsUsable()) Add(epoll_.get(), watch_.fd(), kWatchTag);
  StartThread("tarspout", [this] { Run(); });
}

void Engine::Schedule(std::shared_ptr<Channel> channel) {
  {
    const std::lock_guard lock(mutex_);
    scheduled_.push_back(std::move(channel));
  }
  if (is_sleeping_.exchange(false)) {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(wakeup_.get(), &one, sizeof(one));
  }
}

bool Engine::TryStep(Channel* channel, int64_t patience_ns) {
  const SigpipeBlocked blocked;
  const std::unique_lock lock(stepping_, std::try_to_lock);
  if (!lock || !channels_.contains(channel)) return false;
  channel->is_owner_stepping = true;
  int64_t until = 0;
  for (int64_t now = NowNs(); until == 0 || now < until; now = NowNs()) {
    channel->must_step = false;
    channel->deadline = channel->Step(now);
    if (!channel->IsSending() || patience_ns == 0) break;
    // Waking the reader can take as long as all of it is to take.
    if (until == 0) until = NowNs() + patience_ns;
    ::sched_yield();  // it may have been woken on this processor
  }
  channel->is_owner_stepping = false;
  // What was seen meanwhile may concern other channels.
  return NextDeadline() >= sleeps_until_ && !channel->IsGone();
}

void Engine::Run() {
  ::prctl(PR_SET_TIMERSLACK, 1'000);  // sleeps of tens of microseconds are meant as such
  epoll_event events[kEvents];
  int count = 0;
  for (;;) {
    {
      const std::lock_guard lock(stepping_);
      empty_at_ = std::max(empty_at_, slept_until_);
      Hear(events, count);
      StepDue();
      sleeps_until_ = NextDeadline();
    }
    count = Sleep(sleeps_until_, events);
  }
}

void Engine::StepDue() {
  TakeScheduled();
  const int64_t now = NowNs();
  for (auto at = channels_.begin(); at != channels_.end();) {
    Channel& channel = *at->second;
    if (channel.must_step || channel.deadline <= now) {
      channel.must_step = false;
      channel.deadline = channel.Step(now);
    }
    at = channel.IsGone() ? channels_.erase(at) : std::next(at);
  }
}

void Engine::TakeScheduled() {
  std::vector<std::shared_ptr<Channel>> taken;
  {
    const std::lock_guard lock(mutex_);
    taken.swap(scheduled_);
  }
  for (std::shared_ptr<Channel>& channel : taken) {
    channel->must_step = true;
    channel->is_scheduled.store(false);
    Channel* key = channel.get();
    channels_.emplace(key, std::move(channel));
  }
}

int64_t Engine::NextDeadline() const {
  int64_t next = kNever;
  for (const auto& [key, channel] : channels_) {
    if (channel->must_step) return 0;
    next = std::min(next, channel->deadline);
  }
  return next;
}

int Engine::Sleep(int64_t deadline, epoll_event* events) {
  int64_t timeout = deadline;
  if (deadline != kNever) timeout = std::max<int64_t>(0, deadline - NowNs());
  is_sleeping_.store(true);
  {
    // Whoever scheduled before is_sleeping_ was set did not wake us.
    const std::lock_guard lock(mutex_);
    if (!scheduled_.empty()) timeout = 0;
  }
  if (times_sights_.load() && !times_) {
    times_ = std::make_unique<ThreadTimes>();
    AskForShortTurns();  // the sooner it looks, the more closely it can tell
  }
  const ThreadTimes::Counts before = times_ ? times_->Now() : ThreadTimes::Counts{};
  const int count = Wait(epoll_.get(), events, kEvents, timeout);
  is_sleeping_.store(false);
  if (times_ && count >= 0) {  // EINTR: the process was stopped, who knows for how long
    const int64_t now = NowNs();
    const ThreadTimes::Counts after = times_->Now();
    // Where it slept, nothing was there before; since something came, it only waited for a
    // processor.
    if (after.sleeps > before.sleeps) slept_until_ = now - (after.waited_ns - before.waited_ns);
  }
  return count;
}

void Engine::Hear(const epoll_event* events, int count) {
  bool has_sights = false;
  for (int i = 0; i < count; ++i) {
    if (events[i].data.u64 == kWakeupTag) {
      uint64_t count;
      [[maybe_unused]] const ssize_t bytes = ::read(wakeup_.get(), &count, sizeof(count));
    } else if (events[i].data.u64 == kWatchTag) {
      has_sights = true;
    } else {
      const auto at = channels_.find(static_cast<Channel*>(events[i].data.ptr));
      if (at != channels_.end()) at->second->must_step = true;
    }
  }
  if (has_sights) DrainSights();
}

void Engine::DrainSights() {
  const int64_t now = NowNs();
  watch_.Drain([&](int watch, fifo::Sight sight) {
    if (sight == fifo::Sight::kOverflow) {
      for (auto& [key, channel] : channels_) channel->Saw(sight, empty_at_, now);
      return;
    }
    const auto at = watched_.find(watch);
    if (at != watched_.end()) at->second->Saw(sight, empty_at_, now);
  });
  empty_at_ = now;
}

bool Engine::Watch(Channel* channel, const std::string& path, bool with_reads) {
  const int watch = watch_.Add(path, with_reads);
  if (watch < 0) return false;
  if (channel->watch != watch) Unwatch(channel);
  channel->watch = watch;
  watched_[watch] = channel;
  return true;
}

void Engine::Unwatch(Channel* channel) {
  if (channel->watch < 0) return;
  watched_.erase(channel->watch);
  watch_.Remove(channel->watch);
  channel->watch = -1;
}

void Engine::WatchRoom(Channel* channel, int fd) {
  epoll_event event{};
  // Edge-triggered: EPOLLERR is reported whether asked for or not, and would wake us for as long as
  // no reader is there.
  event.events = EPOLLOUT | EPOLLET;
  event.data.ptr = channel;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

}  // namespace tarspout
