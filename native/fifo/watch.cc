#include "fifo/watch.h"

#include <sys/inotify.h>

#include <cerrno>
#include <cstring>

namespace tarspout::fifo {

static_assert(mask::kAccess == IN_ACCESS && mask::kAttrib == IN_ATTRIB &&
              mask::kCloseWrite == IN_CLOSE_WRITE && mask::kCloseNoWrite == IN_CLOSE_NOWRITE &&
              mask::kOpen == IN_OPEN && mask::kDeleteSelf == IN_DELETE_SELF &&
              mask::kMoveSelf == IN_MOVE_SELF && mask::kOverflow == IN_Q_OVERFLOW &&
              mask::kIgnored == IN_IGNORED);

Watch::Watch() : queue_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {}

int Watch::Add(const std::string& path, bool with_reads) {
  if (!IsUsable()) return -EMFILE;
  uint32_t wanted = IN_OPEN | IN_CLOSE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;
  if (with_reads) wanted |= IN_ACCESS;
  const int watch = ::inotify_add_watch(queue_.get(), path.c_str(), wanted);
  return watch < 0 ? -errno : watch;
}

void Watch::Remove(int watch) { ::inotify_rm_watch(queue_.get(), watch); }

int64_t Watch::Fill() {
  if (!IsUsable()) return 0;
  for (;;) {
    const ssize_t bytes = ::read(queue_.get(), buffer_, sizeof(buffer_));
    if (bytes >= 0) return bytes;
    if (errno != EINTR) return 0;
  }
}

Watch::Event Watch::At(int64_t offset) const {
  inotify_event event;
  std::memcpy(&event, buffer_ + offset, sizeof(event));
  return {event.wd, event.mask, offset + static_cast<int64_t>(sizeof(event)) + event.len};
}

}  // namespace tarspout::fifo
