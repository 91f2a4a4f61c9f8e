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

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/backlog.h"
#include "engine/backoff.h"
#include "engine/engine.h"
#include "engine/histogram.h"
#include "engine/mailbox.h"
#include "engine/messages.h"
#include "engine/spill.h"
#include "engine/unpackers.h"
#include "fifo/fifo.h"
#include "fifo/stage.h"
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
  // The same for a little in a raw channel.
  void PostInline(std::vector<Item>* items);
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
  // No report, no touch of a segment's memory after this returns. Waits for the engine thread,
  // unless kClosed was told.
  void Detach();
  std::vector<Report> TakeReports() { return mailbox_.TakeReports(); }

  Counters counters;
  Histogram stalls;  // how long the pipe was full

  // ---- whoever steps (Engine): the engine thread, or for a moment JavaScript's ----
  int64_t Step(int64_t now);
  // It happened between the two times.
  void Saw(fifo::Sight sight, int64_t since, int64_t now);
  bool IsGone() const { return state_ == State::kGone; }
  bool IsSending() const { return state_ == State::kSending; }

  bool must_step = true;
  int64_t deadline = 0;
  int watch = -1;
  bool is_owner_stepping = false;         // who takes the reports itself
  std::atomic<bool> is_scheduled{false};  // any thread

 private:
  void Schedule();

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

  // Writing and looking: channel_writing.cc.
  enum class Wrote : uint8_t { kAll, kBlocked, kFailed };
  Wrote WriteUpTo(int64_t limit, int64_t now);
  enum class How : uint8_t { kCopied, kStaged, kMapped };
  struct Attempt {
    How how;
    int64_t wanted;
    int64_t wrote;  // or -errno
  };
  // The next bytes, in vectors_.
  struct Gathered {
    int count;
    int64_t bytes;
    bool is_unpacked;  // some of it
    bool is_mapped;    // or copied
  };
  Attempt WriteSome(int64_t limit);
  void StageMore(int64_t limit);
  Gathered GatherFrom(int64_t from, int64_t limit);
  int64_t Stage(int64_t from, const Gathered& gathered);
  int64_t SendLimit();
  bool EndIsNear(const Archive& archive) const;
  int64_t Sample();
  int64_t BytesRead() const;
  int64_t SampleAndDrain();
  bool WatchReads();
  void SetReadsWatched(bool watched);
  bool AwaitReader(int64_t now);
  void KeepWithinRoom(int64_t consumed);
  void EndStall(int64_t now);

  // Judging: channel_judging.cc.
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

  // When things go wrong: channel_loss.cc.
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

  void Tell(const Report& report);
  void TellReports();
  void TellRoom(int64_t now);
  void TellRoomAhead(int64_t bytes, int64_t now);
  void Publish();

  const ChannelOptions options_;
  Engine& engine_;

  Mailbox mailbox_;
  std::atomic<bool> wants_room_{false};  // any thread

  // JavaScript's thread only.
  int misses_ = 0;     // receipts waited for in vain, in a row
  int impatient_ = 0;  // archives that none is waited for

  // Only for whoever steps (Start() prepares claim_ and identity_ before it knows the channel).
  fifo::Fd claim_;
  fifo::Identity identity_;
  fifo::Fd write_end_;
  fifo::Stage stage_;
  State state_ = State::kIdle;
  Unpackers unpackers_;
  SendWindow window_;
  Spill spill_;
  int64_t spilled_to_ = 0;  // bytes before are in the temporary file
  ReaderTrail trail_;       // of the head archive
  ReaderTrail next_trail_;  // of the one behind it, once trail_ has passed
  std::vector<Item> taken_;
  std::vector<Report> reports_;  // to be told before more is written, or at the end of the step
  bool took_items_ = false;
  int64_t received_ = 0;       // bytes taken from the mailbox; told once they are counted elsewhere
  Backlog backlog_;            // not yet in the window
  bool is_streaming_ = false;  // the open archive is in the window: its items go straight there
  bool is_discarding_ = false;  // the open archive failed: its further items are thrown away
  static constexpr size_t kPieces = 256;  // per system call; the kernel takes 1024 (IOV_MAX)
  std::vector<Piece> pieces_;
  iovec vectors_[kPieces];
  Backoff backoff_;
  int64_t wake_ = kNever;

  bool is_open_wanted_ = false;  // raw: open although there is nothing to send
  bool is_closing_ = false;
  int64_t linger_ns_ = 0;
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
