// Keeps opening the FIFO for reading and closing it again without reading a byte: every
// `--every-us` (1000), held open for `--hold-us` (0). Ends at SIGTERM, or after `--times` (0:
// never).
#include <fcntl.h>
#include <unistd.h>

#include "options.h"
#include "source.h"

int main(int argc, char** argv) {
  readers::Options options(argc, argv);
  const std::string path = options.Text("--fifo", "");
  const int64_t every_us = options.Number("--every-us", 1000);
  const int64_t hold_us = options.Number("--hold-us", 0);
  const int64_t times = options.Number("--times", 0);
  options.Finish();
  readers::InstallStop();
  int64_t probes = 0;
  for (int64_t i = 0; (times == 0 || i < times) && readers::stop_requested == 0; ++i) {
    const int fd = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    readers::SleepUs(hold_us);
    if (fd >= 0) close(fd);
    if (fd >= 0) ++probes;
    readers::SleepUs(every_us);
  }
  std::printf("%lld\n", static_cast<long long>(probes));
  return 0;
}
