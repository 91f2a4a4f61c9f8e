#include "engine/thread_times.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>

namespace tarspout {

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

}  // namespace tarspout
