// The FIFO as a reader sees it: blocking open and read, exact counts, never ahead; the plan's
// faults strike here.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

#include "faults.h"

namespace readers {

enum class Status {
  kOk,
  kEof,            // io.EOF
  kUnexpectedEof,  // io.ErrUnexpectedEOF
  kHeader,         // tar.ErrHeader
  kClose,          // the plan closes the FIFO here
  kSystem,         // open or read failed
  kStop,           // asked to end (SIGTERM) while blocked
};

inline const char* Name(Status status) {
  switch (status) {
    case Status::kOk:
      return "ok";
    case Status::kEof:
      return "EOF";
    case Status::kUnexpectedEof:
      return "unexpected EOF";
    case Status::kHeader:
      return "invalid tar header";
    case Status::kClose:
      return "closed by plan";
    case Status::kSystem:
      return "system";
    case Status::kStop:
      return "stopped";
  }
  return "";
}

// SIGTERM ends a reader where it would block, never in the middle of something it can still read or
// finish. The timer keeps interrupting, so a signal that arrives just before the blocking call is
// not lost.
inline volatile sig_atomic_t stop_requested = 0;

inline void InstallStop() {
  struct sigaction action = {};
  action.sa_handler = [](int signal) {
    if (signal != SIGTERM) return;
    stop_requested = 1;
    const itimerval every = {{0, 10000}, {0, 10000}};
    setitimer(ITIMER_REAL, &every, nullptr);
  };
  sigaction(SIGTERM, &action, nullptr);  // without SA_RESTART: blocking calls return EINTR
  sigaction(SIGALRM, &action, nullptr);
}

inline int64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

// Sleeps the whole time, signals or not.
inline void SleepUs(int64_t us) {
  if (us <= 0) return;
  timespec left = {us / 1000000, us % 1000000 * 1000};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

// One word (and its argument) per line on stdout, for a test to wait for.
class Events {
 public:
  explicit Events(bool on) : on_(on) {}

  void Tell(const std::string& what) const {
    if (!on_) return;
    const std::string line = what + "\n";
    if (write(STDOUT_FILENO, line.data(), line.size()) < 0) return;
  }

 private:
  bool on_;
};

class Source {
 public:
  Source(std::string path, Plan& plan, const Events& events)
      : path_(std::move(path)), plan_(plan), events_(events) {}
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  ~Source() { Close(); }

  bool is_open() const { return fd_ >= 0; }

  Status Open() {
    events_.Tell("opening");
    const Status status = OpenFd(&fd_);
    if (status == Status::kOk) events_.Tell("opened");
    return status;
  }

  void Close() {
    if (fd_ < 0) return;
    close(fd_);
    fd_ = -1;
    events_.Tell("closed");
  }

  // A second open and close: returns at once while a writer has the FIFO open, else blocks for one.
  Status OpenAndWait() {
    events_.Tell("waiting");
    int second = -1;
    const Status status = OpenFd(&second);
    if (second >= 0) close(second);
    return status;
  }

  void BeginArchive() {
    plan_.BeginArchive();
    archive_bytes_ = 0;
    events_.Tell("archive");
  }

  // io.ReadFull: exactly `size` bytes, or kEof after none, or kUnexpectedEof after some.
  Status ReadFull(uint8_t* target, size_t size, size_t* got = nullptr) {
    size_t done = 0;
    Status status = Status::kOk;
    while (done < size && status == Status::kOk) {
      size_t count = 0;
      status = ReadSome(target + done, size - done, &count);
      done += count;
    }
    if (got != nullptr) *got = done;
    if (status == Status::kEof && done > 0) return Status::kUnexpectedEof;
    return status;
  }

  // One read(2) of at most `size` bytes. kEof only with no byte.
  Status ReadSome(uint8_t* target, size_t size, size_t* count) {
    *count = 0;
    if (archive_bytes_ >= plan_.stall.position()) {
      plan_.stall.Spend();
      events_.Tell("stalling");
      SleepUs(plan_.stall_ms * 1000);
    }
    if (archive_bytes_ >= plan_.kill.position()) kill(getpid(), SIGKILL);
    if (archive_bytes_ >= plan_.close.position()) {
      plan_.close.Spend();
      return Status::kClose;
    }
    if (plan_.holds_back) SleepUs(plan_.read_delay_us);
    int64_t most = static_cast<int64_t>(size);
    if (plan_.holds_back && plan_.read_max > 0) most = std::min(most, plan_.read_max);
    for (const ByteFault* fault : {&plan_.stall, &plan_.kill, &plan_.close}) {
      if (fault->position() != kNever) most = std::min(most, fault->position() - archive_bytes_);
    }
    for (;;) {
      const ssize_t n = read(fd_, target, static_cast<size_t>(most));
      if (n > 0) {
        archive_bytes_ += n;
        *count = static_cast<size_t>(n);
        return Status::kOk;
      }
      if (n == 0) return Status::kEof;
      if (errno != EINTR) return Status::kSystem;
      if (stop_requested != 0) return Status::kStop;
    }
  }

 private:
  Status OpenFd(int* fd) {
    for (;;) {
      *fd = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
      if (*fd >= 0) return Status::kOk;
      if (errno != EINTR) return Status::kSystem;
      if (stop_requested != 0) return Status::kStop;
    }
  }

  std::string path_;
  Plan& plan_;
  const Events& events_;
  int fd_ = -1;
  int64_t archive_bytes_ = 0;
};

}  // namespace readers
