// What passes between JavaScript's threads and the engine, as plain values.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "send_window/send_window.h"

namespace tarspout {

// Why an archive, or everything, failed.
enum class Failure : uint8_t {
  kNone,
  kNoReader,
  kReaderLost,
  kUncertain,
  kReplayLimit,
  kRemoved,
  kNotAFifo,
  kBusy,
  kMemory,  // the kernel found the body's memory gone
  kAborted,
  kSystem,  // error holds errno, call the system call
};

// What the engine tells JavaScript.
struct Report {
  enum class Kind : uint8_t {
    kOpened,     // the write end was opened
    kDelivered,  // archive `number`
    kFailed,     // archive `number`
    kBroken,     // the channel: everything pending failed (raw), or it cannot be used
    kRoom,       // add() may go on
    kReaderLost,
    kReaderBack,
    kForeignWriter,
    kReplay,  // archive `number` is sent again
    kClosed,
  };
  Kind kind;
  Failure failure = Failure::kNone;
  uint64_t number = 0;
  uint32_t attempts = 0;
  int error = 0;
  int64_t blocked_ns = 0;  // kDelivered: how long the archive waited for the pipe or a reader
};

// What JavaScript hands over, in order: a part of an archive, which begins with the first.
struct Item {
  // What comes behind the part.
  enum class Then : uint8_t {
    kMore,
    kFinish,
    kAbort,
    kAbortInsideBody,  // of an entry: its end cannot be taken for a whole archive's
  };
  uint64_t number;  // of the archive
  Segment segment = {};
  Then then = Then::kMore;
  bool is_in_chunk = false;
};

// Of the items that lie in one chunk only the last one put into the mailbox at once owns it: each
// owner more costs JavaScript's thread a locked instruction, which waits until all it wrote is in
// the caches. Gives each its own.
inline void GiveOwners(std::vector<Item>* items) {
  const std::shared_ptr<const void>* owner = nullptr;
  for (auto item = items->rbegin(); item != items->rend(); ++item) {
    if (!item->is_in_chunk) continue;
    if (item->segment.owner) {
      owner = &item->segment.owner;
    } else {
      item->segment.owner = *owner;
    }
  }
}

// Counters that JavaScript reads while the engine runs. Each is written by one thread; relaxed.
struct Counters {
  using Counter = std::atomic<int64_t>;
  Counter accepted{0};  // by JavaScript; the engine has received less or as much
  Counter received{0};
  Counter unwritten{0};    // of what was received
  Counter retained{0};     // of what was received
  Counter undelivered{0};  // finished archives received
  Counter written{0}, consumed{0};
  Counter pipe_capacity{0}, pipe_unread{0};
  Counter writes{0}, short_writes{0}, eagain{0}, epipe{0}, opens{0}, replays{0}, delivered{0};
  Counter blocked_ns{0}, waiting_for_reader_ns{0};
  Counter is_tracked{0}, is_wide{0}, has_reader{0}, state{0};

  int64_t QueuedBytes() const { return accepted - received + unwritten; }
  int64_t RetainedBytes() const { return accepted - received + retained; }
};

}  // namespace tarspout
