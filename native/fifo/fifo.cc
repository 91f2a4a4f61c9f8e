#include "fifo/fifo.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>

namespace tarspout::fifo {
namespace {

template <typename Call>
auto Retry(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

Opened Open(const std::string& path, int flags) {
  const int fd = Retry([&] { return ::open(path.c_str(), flags | O_NONBLOCK | O_CLOEXEC); });
  if (fd < 0) return {Fd(), errno};
  return {Fd(fd), 0};
}

int64_t UnreadBytes(int fd) {
  int bytes = 0;
  return Retry([&] { return ::ioctl(fd, FIONREAD, &bytes); }) < 0 ? 0 : bytes;
}

int64_t CapacityBytes(int fd) {
  const int bytes = Retry([&] { return ::fcntl(fd, F_GETPIPE_SZ); });
  return bytes < 0 ? 0 : bytes;
}

}  // namespace

PathInfo Inspect(const std::string& path) {
  PathInfo info;
  struct stat status;
  if (Retry([&] { return ::stat(path.c_str(), &status); }) < 0) {
    info.error = errno;
    return info;
  }
  info.is_fifo = S_ISFIFO(status.st_mode);
  info.is_writable = ::access(path.c_str(), W_OK) == 0;
  info.identity = {status.st_dev, status.st_ino};
  return info;
}

Opened OpenWriteEnd(const std::string& path) { return Open(path, O_WRONLY); }
Opened OpenReadEnd(const std::string& path) { return Open(path, O_RDONLY); }

Identity IdentityOf(const Fd& fd) {
  struct stat status;
  if (Retry([&] { return ::fstat(fd.get(), &status); }) < 0) return {};
  return {status.st_dev, status.st_ino};
}

int64_t Write(const Fd& fd, const iovec* pieces, int count) {
  const ssize_t written = Retry([&] { return ::writev(fd.get(), pieces, count); });
  return written < 0 ? -errno : written;
}

int64_t MapIn(const Fd& fd, const iovec* pieces, int count) {
  const ssize_t mapped = Retry(
      [&] { return ::vmsplice(fd.get(), pieces, static_cast<size_t>(count), SPLICE_F_NONBLOCK); });
  return mapped < 0 ? -errno : mapped;
}

int64_t Move(const Fd& from, const Fd& to, int64_t most) {
  const ssize_t moved = Retry([&] {
    return ::splice(from.get(), nullptr, to.get(), nullptr, static_cast<size_t>(most),
                    SPLICE_F_NONBLOCK);
  });
  return moved < 0 ? -errno : moved;
}

int64_t Unread(const Fd& fd) { return UnreadBytes(fd.get()); }

bool HasReader(const Fd& write_end) {
  pollfd watched{write_end.get(), 0, 0};
  return Retry([&] { return ::poll(&watched, 1, 0); }) >= 0 && (watched.revents & POLLERR) == 0;
}

void SetCapacity(const Fd& fd, int64_t bytes) {
  constexpr int64_t kPage = 4096;
  const int64_t before = Capacity(fd);
  for (int64_t wish = bytes; wish >= kPage && (wish > before || wish == bytes); wish /= 2) {
    if (Retry([&] { return ::fcntl(fd.get(), F_SETPIPE_SZ, static_cast<int>(wish)); }) >= 0) return;
  }
}

int64_t Capacity(const Fd& fd) { return CapacityBytes(fd.get()); }

Filling FillingOf(int fd) {
  const int64_t capacity = CapacityBytes(fd);
  return {capacity > 0 ? UnreadBytes(fd) : 0, capacity};
}

int64_t MarkPipe(const Fd& fd) {
  // A new pipe has 16 pages, or two or one where its user has many (pipe(7)).
  const auto is_mark = [](int64_t pages) { return pages != 16 && pages > 2; };
  const int64_t page = ::sysconf(_SC_PAGESIZE);
  const int64_t capacity = Capacity(fd);
  if (is_mark(capacity / page)) return capacity;
  for (const int64_t pages : {32, 8, 4}) {
    if (Retry([&] { return ::fcntl(fd.get(), F_SETPIPE_SZ, static_cast<int>(pages * page)); }) >= 0)
      return is_mark(Capacity(fd) / page) ? Capacity(fd) : 0;
  }
  return 0;
}

Opened Claim(const Identity& identity) {
  Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.IsOpen()) return {Fd(), errno};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // A leading NUL puts the name in the abstract namespace: no file, gone with the process
  // (unix(7)).
  const int length =
      std::snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "tarspout-%llx-%llx",
                    static_cast<unsigned long long>(identity.device),
                    static_cast<unsigned long long>(identity.inode));
  const auto size =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + static_cast<size_t>(length));
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) < 0) return {Fd(), errno};
  return {std::move(fd), 0};
}

}  // namespace tarspout::fifo
