#include "engine/thread_times.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>

namespace tarspout {
namespace {

constexpr int64_t kLookNs = 20'000'000;  // longer than JavaScript takes to fill the queue
constexpr int64_t kLowShare = 3;         // one part in so many

}  // namespace

ThreadTimes::ThreadTimes()
    : schedstat_(::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)) {}

ThreadTimes::Counts ThreadTimes::Now() const {
  Counts counts;
  rusage usage;
  if (::getrusage(RUSAGE_THREAD, &usage) == 0) counts.sleeps = usage.ru_nvcsw;
  char text[96];
  const ssize_t bytes = ::pread(schedstat_.get(), text, sizeof(text) - 1, 0);
  if (bytes > 0) {
    text[bytes] = '\0';
    long long ran = 0;
    long long waited = 0;
    if (std::sscanf(text, "%lld %lld", &ran, &waited) == 2) counts.waited_ns = waited;
  }
  return counts;
}

ThreadUse::ThreadUse() : is_known_(::pthread_getcpuclockid(::pthread_self(), &clock_) == 0) {}

bool ThreadUse::IsLow(int64_t now_ns) {
  if (now_ns - looked_at_ < kLookNs) return is_low_;
  timespec ran;
  is_known_ = is_known_ && ::clock_gettime(clock_, &ran) == 0;  // not once the thread has ended
  if (!is_known_) return false;
  const int64_t ran_ns = int64_t{ran.tv_sec} * 1'000'000'000 + ran.tv_nsec;
  is_low_ = looked_at_ != 0 && (ran_ns - ran_ns_) * kLowShare < now_ns - looked_at_;
  looked_at_ = now_ns;
  ran_ns_ = ran_ns;
  return is_low_;
}

}  // namespace tarspout
