// What inotify(7) tells of a FIFO's readers. One queue serves all FIFOs of the process.
#pragma once

#include <cstdint>
#include <string>

#include "fifo/fd.h"

namespace tarspout::fifo {

// One thing seen of one FIFO. Neighbouring equal events merge in the kernel, so they cannot be
// counted.
enum class Sight : uint8_t {
  kReaderOpened,  // someone opened the FIFO: a reader, or a writer (ourselves too)
  kReaderClosed,  // a read end was closed, by close(2) or by its process's death
  kRead,          // a reader took bytes
  kWriterClosed,  // a write end was closed (ours too)
  kPathChanged,   // the FIFO was unlinked, moved, or changed its permissions
  kOverflow,      // the queue was full: anything may have happened, to any FIFO
};

class Watch {
 public:
  Watch();  // Without inotify (limit reached) IsUsable() is false and Add fails.

  bool IsUsable() const { return queue_.IsOpen(); }
  int fd() const { return queue_.get(); }

  // Watches the FIFO a path leads to, reads included or not; again on the same FIFO: changes that.
  // A watch descriptor, or -errno.
  int Add(const std::string& path, bool with_reads);
  void Remove(int watch);

  // Takes everything the queue holds now: calls seen(watch, sight) in the order it happened; watch
  // is -1 for kOverflow.
  template <typename Seen>
  void Drain(Seen seen) {
    for (;;) {
      const int64_t bytes = Fill();
      if (bytes <= 0) return;
      int64_t at = 0;
      while (at < bytes) at = Next(at, seen);
      if (bytes < kHalf) return;  // the queue was emptied
    }
  }

 private:
  static constexpr int64_t kRoom = 16384;
  static constexpr int64_t kHalf = kRoom / 2;

  struct Event {
    int watch;
    uint32_t mask;
    int64_t next;
  };

  int64_t Fill();
  Event At(int64_t offset) const;

  template <typename Seen>
  int64_t Next(int64_t at, Seen& seen) {
    const Event event = At(at);
    ForEachSight(event.mask, [&](Sight sight) { seen(event.watch, sight); });
    return event.next;
  }

  template <typename Each>
  static void ForEachSight(uint32_t mask, Each each);

  Fd queue_;
  alignas(8) char buffer_[kRoom];
};

// The mask bits that matter, in the order they are reported when the kernel puts several into one
// event (it does not for these, but the ABI allows it). Values from <sys/inotify.h>, checked in
// watch.cc.
namespace mask {
inline constexpr uint32_t kAccess = 0x1, kAttrib = 0x4, kCloseWrite = 0x8, kCloseNoWrite = 0x10,
                          kOpen = 0x20, kDeleteSelf = 0x400, kMoveSelf = 0x800, kOverflow = 0x4000,
                          kIgnored = 0x8000;
}

template <typename Each>
void Watch::ForEachSight(uint32_t bits, Each each) {
  if (bits & mask::kOverflow) each(Sight::kOverflow);
  if (bits & mask::kOpen) each(Sight::kReaderOpened);
  if (bits & mask::kAccess) each(Sight::kRead);
  if (bits & mask::kCloseNoWrite) each(Sight::kReaderClosed);
  if (bits & mask::kCloseWrite) each(Sight::kWriterClosed);
  if (bits & (mask::kAttrib | mask::kDeleteSelf | mask::kMoveSelf)) each(Sight::kPathChanged);
}

}  // namespace tarspout::fifo
