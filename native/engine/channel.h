// One FIFO and everything on its way into it: the delivery rules (docs/delivery.md), run by the
// engine.
//
// clang-format off
//              work           reader there           delivered
//   kIdle -------------> kOpening -------> kSending -------------> kLingering --> kIdle
//     |  (first: kLooking)   ^              | |  ^      (persistent: straight back to kIdle)
//     |                      |  no reader   | |  | everything consumed: again from una
//     |                      +-- for 50 ms -+ |  |
//     |                      |                v  |
//     |                      +-- no reader -- kDraining  (doubt)
//     v
//   kClosing --> kGone
//
//   kTearing --> kHolding --> kIdle: the open archive was aborted after some of it was sent.
//   kGone is reached from every state by Abort() and Detach().
// clang-format on
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/spill.h"
#include "engine/unpackers.h"
#include "fifo/fifo.h"
#include "fifo/watch.h"
#include "send_window/reader_trail.h"
#include "send_window/send_window.h"

namespace tarspout {

struct ChannelOptions {
  std::string path;
  bool is_raw = false;         // bytes without archives: nothing is kept, nothing is sent again
  bool is_persistent = false;  // the write end stays open between archives
  bool must_commit = false;    // confirm: 'committed'
  bool maps_pages = false;     // zeroCopy
  bool spills = false;
  int64_t retain_bytes = 64 << 20;
  int64_t high_water = 1 << 20;
  int64_t pipe_size = 1 << 20;
  uint32_t max_attempts = 32;
  int64_t reader_timeout_ns = kNever;
  // Makes what makes bytes of packed segments, if there are any.
  std::function<Unpack()> make_unpack = nullptr;
};

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

// What the engine thread tells JavaScript.
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

// What JavaScript hands over, in order.
struct Item {
  enum class Kind : uint8_t { kBegin, kAppend, kFinish, kAbort };
  Kind kind;
  bool inside_body = false;  // kAbort: the archive stands inside an entry's body, so its end cannot
                             // be taken for a whole one
  uint64_t number = 0;       // kBegin
  Segment segment = {};      // kAppend
};

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

// Durations by powers of two and their quarters: enough for p50 and p99.
class Histogram {
 public:
  void Add(int64_t ns);
  int64_t Quantile(double part) const;
  int64_t max() const { return max_; }

 private:
  std::array<uint64_t, 256> buckets_{};
  uint64_t count_ = 0;
  int64_t max_ = 0;
};

class Channel : public std::enable_shared_from_this<Channel> {
 public:
  enum class State : uint8_t {
    kIdle,
    kLooking,
    kOpening,
    kSending,
    kDraining,
    kTearing,
    kHolding,
    kLingering,
    kClosing,
    kGone,
  };

  // ---- JavaScript's thread ----
  Channel(ChannelOptions options, std::function<void()> notify);

  // Claims the FIFO and starts the engine's work on it. kNone, or why not (errno in *error).
  Failure Start(int* error);
  // Hands over items. The engine shall look at them now, soon (it may wait for more), or whenever
  // it looks next.
  enum class Urgency : uint8_t { kNow, kSoon, kLater };
  void Post(std::vector<Item>* items, Urgency urgency);
  // The same for the end of a small archive that nothing stands before: sent on this thread if it
  // can be.
  void PostAlone(std::vector<Item>* items);
  // Ask for a kRoom report as soon as HasRoom().
  void WantRoom();
  // Queued bytes are below highWaterMark and, unless only the open archive is kept, kept bytes
  // below retainBytes.
  bool HasRoom() const;
  // Opens the write end although nothing is to be sent (raw).
  void WantOpen();
  // Everything finished is still delivered; then the write end stays open for linger_ns and is
  // closed: kClosed.
  void Close(int64_t linger_ns);
  // Everything pending fails with kAborted, the write end is closed at once: kClosed.
  void Abort();
  // No report, no touch of a segment's memory after this returns. Waits for the engine thread.
  void Detach();
  std::vector<Report> TakeReports();
  Histogram StallHistogram();

  Counters counters;

  // ---- whoever steps (Engine): the engine thread, or for a moment JavaScript's ----
  int64_t Step(int64_t now);
  void Saw(fifo::Sight sight, int64_t now);
  bool IsGone() const { return state_ == State::kGone; }
  bool IsSending() const { return state_ == State::kSending; }

  bool must_step = true;
  int64_t deadline = 0;
  int watch = -1;
  bool is_owner_stepping = false;         // who takes the reports itself
  std::atomic<bool> is_scheduled{false};  // any thread

 private:
  // Sleeps between looks at something that gives no event: 1 ms, doubling to 20 ms, and then to a
  // twentieth of what was waited, at most 500 ms.
  class Backoff {
   public:
    int64_t Next(int64_t waited_ns = 0) {
      const int64_t delay = next_;
      next_ = std::min(next_ * 2, std::clamp(waited_ns / 20, kMost, kMostLater));
      return delay;
    }
    void Reset() { next_ = kLeast; }

   private:
    static constexpr int64_t kLeast = 1'000'000, kMost = 20'000'000;
    static constexpr int64_t kMostLater = 500'000'000;
    int64_t next_ = kLeast;
  };

  bool TakeOver(std::vector<Item>* items);

  // Items come in; whole archives, or the long beginning of one, go into the window.
  void TakeItems(int64_t now);
  void TakeItem(Item* item, int64_t now);
  void AwaitItems(int64_t now);
  void Admit(int64_t now);
  void AdmitItem(Item* item, int64_t now);
  void AbortOpen(bool inside_body);
  void Discard(const Item& item);

  // One handler a state: true if stepping goes on at once.
  bool StepState(int64_t now);
  bool Idle(int64_t now);
  bool Looking(int64_t now);
  bool Opening(int64_t now);
  bool Sending(int64_t now);
  bool Draining(int64_t now);
  bool Tearing(int64_t now);
  bool Holding(int64_t now);
  bool Lingering(int64_t now);
  bool Closing(int64_t now);

  void Enter(State state) { state_ = state; }
  void WakeAt(int64_t at) { wake_ = at < wake_ ? at : wake_; }

  // Writing and looking.
  enum class Wrote : uint8_t { kAll, kBlocked, kFailed };
  Wrote WriteUpTo(int64_t limit, int64_t now);
  int64_t SendLimit();
  int64_t Sample();
  int64_t BytesRead() const;
  int64_t SampleAndDrain();
  bool WatchReads();
  void SetReadsWatched(bool watched);
  bool AwaitReader(int64_t now);
  void KeepWithinRoom(int64_t consumed);
  void EndStall(int64_t now);

  // Judging.
  bool JudgeHead(int64_t consumed, int64_t now);
  bool JudgeWide(int64_t consumed);
  bool JudgeRaw(int64_t consumed);
  void DeliverHead(int64_t consumed);
  void PopHead();
  void StartHead(bool being_read);
  void AwaitLateReport();
  void AppendNudge(int64_t now);
  void Narrow();
  void Rest(int64_t now);
  // Each thing seen goes to the trail it is about; to both while that cannot be told.
  template <typename Mark>
  void MarkTrails(Mark mark) {
    const bool may_be_next = trail_.MayHavePassed();
    if (may_be_next) mark(&next_trail_);
    if (!trail_.HasPassed()) mark(&trail_);
    if (!may_be_next && trail_.MayHavePassed()) next_trail_.Reset(true);
  }

  // When things go wrong.
  bool WatchForLoss(int64_t consumed, int64_t now);
  void SendAgain(int64_t now);
  void OpenWriteEnd(fifo::Fd fd, int64_t now);
  void CloseWriteEnd();
  void KeepMapped();
  void CloseAndReopen(int64_t now);
  bool FailOverdue(int64_t now);
  void FailHead(Failure failure, int error = 0);
  void FailAll(Failure failure, int error = 0);
  bool FollowPath(int64_t now);
  void LeaveFifo();

  void Tell(Report report);
  void TellRoom(int64_t now);
  void TellRoomAhead(int64_t bytes, int64_t now);
  void Publish();

  const ChannelOptions options_;
  Engine& engine_;

  // Shared between the threads, guarded by mutex_ unless atomic.
  std::mutex mutex_;
  std::condition_variable detached_;
  std::vector<Item> inbox_;
  std::vector<Report> outbox_;
  std::function<void()> notify_;
  Histogram stalls_;
  bool wants_open_ = false;
  bool wants_close_ = false;
  bool wants_abort_ = false;
  bool wants_detach_ = false;
  bool is_detached_ = false;
  bool is_awaited_ = false;  // more items: they need not wake the engine
  int64_t linger_ns_ = 0;
  std::atomic<bool> wants_room_{false};

  // JavaScript's thread only.
  int misses_ = 0;     // receipts waited for in vain, in a row
  int impatient_ = 0;  // archives that none is waited for

  // Only for whoever steps (Start() prepares claim_ and identity_ before it knows the channel).
  fifo::Fd claim_;
  fifo::Identity identity_;
  fifo::Fd write_end_;
  State state_ = State::kIdle;
  Unpackers unpackers_;
  SendWindow window_;
  Spill spill_;
  int64_t spilled_to_ = 0;  // bytes before are in the temporary file
  ReaderTrail trail_;       // of the head archive
  ReaderTrail next_trail_;  // of the one behind it, once trail_ has passed
  std::vector<Item> taken_;
  bool took_items_ = false;
  int64_t received_ = 0;         // bytes taken from the inbox; told once they are counted elsewhere
  std::deque<Item> backlog_;     // not yet in the window
  size_t backlog_finished_ = 0;  // archives whose end is in the backlog
  int64_t backlog_open_bytes_ = 0;  // of the archive whose end is not
  int64_t backlog_bytes_ = 0;
  bool is_streaming_ = false;   // the open archive is in the window: its items go straight there
  bool is_discarding_ = false;  // the open archive failed: its further items are thrown away
  std::vector<Piece> pieces_;
  Backoff backoff_;
  int64_t wake_ = kNever;

  bool is_open_wanted_ = false;  // raw: open although there is nothing to send
  bool is_closing_ = false;
  bool has_looked_ = false;  // for what a dead writer left
  bool saw_leftover_ = false;
  bool is_tracked_ = false;  // inotify watches the FIFO
  bool reads_watched_ = false;
  bool is_wide_ = false;          // several archives in flight
  bool is_head_started_ = false;  // the trail is the head archive's
  bool readers_moved_ = false;    // wide: an open, a close, an overflow or EPIPE since judged last
  bool path_changed_ = false;
  bool resumes_ = false;  // reopening in doubt: what was written before may still be in the pipe
  int64_t mark_ = 0;      // the capacity of the pipe that was closed in doubt, if no new one has it
  bool asks_for_writer_ = false;  // the reader of the last archive did, before it was finished
  bool foreign_told_ = false;
  int quiet_archives_ = 0;
  int64_t last_consumed_ = 0;
  int64_t tear_at_ = 0;  // kTearing: cut here
  int64_t settle_until_ = 0;
  int64_t linger_until_ = 0;
  int64_t hold_until_ = 0;
  int64_t again_at_ = 0;         // in doubt: not sent again before
  int64_t no_reader_since_ = 0;  // 0: there is one, or none is wanted
  int64_t missing_since_ = 0;    // nothing is at the path since; 0: something is
  int64_t clear_since_ = 0;      // kLooking: the leftover was gone since
  int64_t stalled_since_ = 0;    // the pipe is full since
  int64_t rested_at_ = 0;        // kIdle since, with the write end open
  int64_t moved_at_ = 0;         // when bytes were last written or consumed
  int64_t head_blocked_ns_ = 0;
  int own_closes_ = 0;  // closes of ours that the watch has not yet reported
};

}  // namespace tarspout
