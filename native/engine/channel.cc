#include "engine/channel.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "engine/rules.h"

namespace tarspout {
namespace {

constexpr int64_t kPatienceNs = 100'000;  // JavaScript's thread looks so long for a receipt
constexpr int kMostMisses = 6;            // in vain: tried again with each 64th archive only
// A pipe that is full for so long is no moment's jam: JavaScript may as well fill the queue.
constexpr int64_t kStuckNs = 2 * kMs;
// Of a long archive everything is written: so long until the engine looks for more of it.
constexpr int64_t kNapNs = 400'000;
constexpr int kTurns = 64;  // states per step

const uint8_t kHalfHeader[256] = {};  // no reader takes it for the end of an archive

}  // namespace

// ---- JavaScript's thread
// -------------------------------------------------------------------------------------------

Channel::Channel(ChannelOptions options, std::function<void()> notify)
    : options_(std::move(options)),
      engine_(Engine::Get()),
      mailbox_(std::move(notify)),
      unpackers_(
          options_.make_unpack,
          options_.maps_pages ? std::function<int64_t()>([this] { return BytesRead(); }) : nullptr),
      window_([this](std::span<const uint8_t> packed, size_t* at) {
        return unpackers_.Next(packed, at);
      }) {}

Failure Channel::Start(int* error) {
  const fifo::PathInfo info = fifo::Inspect(options_.path);
  *error = info.error != 0 ? info.error : EACCES;
  if (info.error != 0) return Failure::kSystem;
  if (!info.is_fifo) return Failure::kNotAFifo;
  if (!info.is_writable) return Failure::kSystem;
  identity_ = info.identity;
  fifo::Opened claim = fifo::Claim(identity_);
  if (claim.error == EADDRINUSE) return Failure::kBusy;
  claim_ = std::move(claim.fd);  // without abstract sockets the claim is not made: a second writer
                                 // is noticed by FIONREAD
  path_changed_ = true;          // the first step sets the watch
  if (options_.must_commit) engine_.TimeSights();
  is_scheduled.store(true);
  engine_.Schedule(shared_from_this());
  return Failure::kNone;
}

void Channel::Post(std::vector<Item>* items, Urgency urgency) {
  const bool is_awaited = mailbox_.Put(items);
  if (urgency == Urgency::kLater || (urgency == Urgency::kSoon && is_awaited)) return;
  Schedule();
}

// Writing a little into an empty pipe costs less than waking the engine. A reader that waits takes
// it at once; the receipt then needs no wake-up at all. A commit, though, takes readers a while.
void Channel::PostAlone(std::vector<Item>* items) {
  mailbox_.Put(items);
  const bool is_quiet = !is_scheduled.load() && counters.has_reader == 1 &&
                        counters.state == static_cast<int64_t>(State::kIdle);
  if (is_quiet) {
    const bool is_patient = !options_.must_commit && --impatient_ < 0;
    const int64_t delivered = counters.delivered;
    const bool is_done = engine_.TryStep(this, is_patient ? kPatienceNs : 0);
    if (is_patient) {
      misses_ = counters.delivered != delivered ? 0 : std::min(misses_ + 1, kMostMisses);
      impatient_ = (1 << misses_) - 1;
    }
    if (is_done) return;
  }
  Schedule();
}

void Channel::PostInline(std::vector<Item>* items) {
  mailbox_.Put(items);
  const bool may_step = !is_scheduled.load() && counters.has_reader == 1;
  if (!may_step || !engine_.TryStep(this, 0)) Schedule();
}

void Channel::Schedule() {
  if (!is_scheduled.exchange(true)) engine_.Schedule(shared_from_this());
}

void Channel::WantRoom() {
  wants_room_.store(true);
  Schedule();
}

bool Channel::HasRoom() const {
  return counters.QueuedBytes() < options_.high_water &&
         (counters.undelivered == 0 || counters.RetainedBytes() < options_.retain_bytes);
}

void Channel::WantOpen() {
  mailbox_.WantOpen();
  Schedule();
}

void Channel::Close(int64_t linger_ns) {
  mailbox_.WantClose(linger_ns);
  Schedule();
}

void Channel::Abort() {
  mailbox_.WantAbort();
  Schedule();
}

void Channel::Detach() {
  if (!mailbox_.WantDetach()) return;
  engine_.Schedule(shared_from_this());
  mailbox_.AwaitDetached();
}

// ---- what comes in
// -------------------------------------------------------------------------------------------------

int64_t Channel::Step(int64_t now) {
  wake_ = kNever;
  TakeItems(now);
  for (int turn = 0; state_ != State::kGone; ++turn) {
    if (turn == kTurns) {
      WakeAt(0);
      break;
    }
    if (!StepState(turn == 0 ? now : NowNs())) break;
  }
  TellReports();
  Publish();
  TellRoom(now);
  AwaitItems(now);
  return wake_;
}

// More of a long archive is taken without being woken for it, which would cost JavaScript's thread
// more than hundreds of entries: once the pipe has room, or after a nap.
void Channel::AwaitItems(int64_t now) {
  const bool is_blocked = stalled_since_ != 0;
  const bool is_busy = is_streaming_ && state_ == State::kSending && (is_blocked || took_items_);
  if (is_busy && !is_blocked) WakeAt(now + kNapNs);
  if (mailbox_.SetAwaited(is_busy)) WakeAt(0);
}

void Channel::TakeItems(int64_t now) {
  const Mailbox::Wishes wishes = mailbox_.Take(&taken_);
  if (wishes.open) is_open_wanted_ = true;
  if (wishes.close) {
    is_closing_ = true;
    linger_ns_ = wishes.linger_ns;
  }
  took_items_ = !taken_.empty();
  GiveOwners(&taken_);
  for (Item& item : taken_) TakeItem(&item, now);
  taken_.clear();
  if ((wishes.abort || wishes.detach) && state_ != State::kGone) {
    FailAll(Failure::kAborted);
    CloseWriteEnd();
    Enter(State::kClosing);
    linger_until_ = hold_until_ = 0;
  }
  if (wishes.detach) {
    if (state_ != State::kGone) Closing(now);
    mailbox_.Detached();
  }
}

void Channel::TakeItem(Item* item, int64_t now) {
  received_ += static_cast<int64_t>(item->segment.size);
  if (is_discarding_) {
    Discard(*item);
  } else if (is_streaming_) {
    AdmitItem(item, now);
  } else if (item->then == Item::Then::kMore || item->then == Item::Then::kFinish) {
    backlog_.Push(std::move(*item));
  } else {
    backlog_.DropOpen();  // nothing of it ever was in the window
  }
}

// Rule 1: an archive gets into the window whole, or, once it has grown past the high water mark,
// alone. Per archive, one at a time.
void Channel::Admit(int64_t now) {
  while (!backlog_.IsEmpty() && !is_streaming_) {
    const bool is_whole = backlog_.Finished() > 0;
    if (is_whole) {
      const bool may_follow = options_.is_persistent || (window_.IsEmpty() && !write_end_.IsOpen());
      if (!may_follow) return;
    } else if (!options_.is_raw &&
               (!window_.IsEmpty() || backlog_.OpenBytes() < options_.high_water)) {
      return;
    }
    backlog_.TakeArchive([&](Item* item) { AdmitItem(item, now); });
    is_streaming_ = !is_whole;
  }
}

void Channel::AdmitItem(Item* item, int64_t now) {
  if (!window_.HasOpen()) window_.Begin(item->number);
  window_.Append(std::move(item->segment));
  if (item->then == Item::Then::kMore) return;
  is_streaming_ = false;
  if (item->then == Item::Then::kFinish) {
    window_.Finish(now);
  } else {
    AbortOpen(item->then == Item::Then::kAbortInsideBody);
  }
}

void Channel::AbortOpen(bool inside_body) {
  const Archive& open = window_.Tail();
  if (window_.nxt() <= open.start) {
    stage_.Drop();  // it may hold some of it, and what comes next has the same positions
    window_.DropOpen();
    return;
  }
  if (!write_end_.IsOpen()) {  // what was written of it is gone already
    window_.Finish(0);
    window_.PopHead();
    return;
  }
  // A reader takes the end of file between two entries for the end of a whole archive
  // (docs/pachyderm.md 1.C): half a header makes it an error.
  if (!inside_body) window_.Append({kHalfHeader, sizeof(kHalfHeader), nullptr});
  window_.Finish(0);
  tear_at_ = window_.end();
  Enter(State::kTearing);
}

void Channel::Discard(const Item& item) {
  if (item.then != Item::Then::kMore) is_discarding_ = false;
}

void Channel::Saw(fifo::Sight sight, int64_t since, int64_t now) {
  switch (sight) {
    case fifo::Sight::kReaderOpened:
      readers_moved_ = true;
      MarkTrails([&](ReaderTrail* trail) { trail->Opened(now); });
      break;
    case fifo::Sight::kReaderClosed:
      readers_moved_ = true;
      MarkTrails([&](ReaderTrail* trail) { trail->Closed(since); });
      if (state_ == State::kHolding) hold_until_ = std::min(hold_until_, now + kLingerNs);
      if (state_ == State::kClosing) hold_until_ = now;
      break;
    case fifo::Sight::kRead:
      MarkTrails([](ReaderTrail* trail) { trail->Read(); });
      break;
    case fifo::Sight::kOverflow:
      readers_moved_ = true;
      own_closes_ = 0;
      MarkTrails([](ReaderTrail* trail) { trail->Overflowed(); });
      break;
    case fifo::Sight::kWriterClosed:
      if (own_closes_ > 0) {
        --own_closes_;
      } else if (!foreign_told_) {
        foreign_told_ = true;
        Tell({.kind = Report::Kind::kForeignWriter});
      }
      break;
    case fifo::Sight::kPathChanged:
      path_changed_ = true;
      break;
  }
  // Our own looking and opening is reported too: without a write end only the path and a reader
  // that is to leave matter.
  if (write_end_.IsOpen() || path_changed_ || state_ == State::kHolding ||
      state_ == State::kClosing) {
    must_step = true;
  }
}

// ---- the states
// ----------------------------------------------------------------------------------------------------

bool Channel::StepState(int64_t now) {
  if (path_changed_ || missing_since_ != 0) {
    if (FollowPath(now)) return true;
  }
  Admit(now);
  switch (state_) {
    case State::kIdle:
      return Idle(now);
    case State::kLooking:
      return Looking(now);
    case State::kOpening:
      return Opening(now);
    case State::kSending:
      return Sending(now);
    case State::kDraining:
      return Draining(now);
    case State::kTearing:
      return Tearing(now);
    case State::kHolding:
      return Holding(now);
    case State::kLingering:
      return Lingering(now);
    case State::kClosing:
      return Closing(now);
    case State::kGone:
      return false;
  }
  return false;
}

bool Channel::Idle(int64_t now) {
  if (window_.IsEmpty() && !(is_open_wanted_ && !write_end_.IsOpen())) {
    if (is_closing_) {
      linger_until_ = now + (write_end_.IsOpen() ? linger_ns_ : 0);
      Enter(State::kClosing);
      return true;
    }
    if (write_end_.IsOpen()) WatchForLoss(window_.nxt(), now);
    if (now < rested_at_ + kSafetyNs) WakeAt(rested_at_ + kSafetyNs);
    return false;
  }
  backoff_.Reset();
  if (write_end_.IsOpen()) {
    if (no_reader_since_ != 0) no_reader_since_ = now;  // only now is it waited for
    StartHead(false);
    Enter(State::kSending);
    return true;
  }
  no_reader_since_ = now;
  clear_since_ = 0;
  Enter(has_looked_ || options_.is_raw ? State::kOpening : State::kLooking);
  return true;
}

// Rule 9. A dead writer's bytes are the middle of an archive: what we wrote behind them would be
// joined to it.
bool Channel::Looking(int64_t now) {
  if (window_.IsEmpty()) {
    no_reader_since_ = 0;
    resumes_ = false;
    Enter(State::kIdle);
    return true;
  }
  const fifo::Opened look = fifo::OpenReadEnd(options_.path);
  const int64_t left = look.fd.IsOpen() ? fifo::Unread(look.fd) : 0;
  if (left > 0) {
    saw_leftover_ = true;
    clear_since_ = 0;
  } else if (clear_since_ == 0) {
    clear_since_ = now;
  }
  if (left == 0 && (!saw_leftover_ || now - clear_since_ >= kLeftoverNs)) {
    has_looked_ = true;
    saw_leftover_ = false;
    Enter(State::kOpening);
    return true;
  }
  if (FailOverdue(now)) return true;
  WakeAt(now + backoff_.Next());
  return false;
}

bool Channel::Opening(int64_t now) {
  if (window_.IsEmpty() && !is_open_wanted_) {
    no_reader_since_ = 0;
    resumes_ = false;
    Enter(State::kIdle);
    return true;
  }
  fifo::Opened opened = fifo::OpenWriteEnd(options_.path);
  if (opened.fd.IsOpen()) {
    if (fifo::IdentityOf(opened.fd) != identity_) {
      opened.fd.Close();
      path_changed_ = true;
      return true;
    }
    OpenWriteEnd(std::move(opened.fd), now);
    return true;
  }
  if (opened.error == ENOENT || opened.error == ENOTDIR) {
    path_changed_ = true;
    if (missing_since_ == 0) return true;
  } else if (opened.error != ENXIO) {
    FailAll(Failure::kSystem, opened.error);
    return true;
  }
  if (FailOverdue(now)) return true;
  WakeAt(now + backoff_.Next(now - no_reader_since_));
  return false;
}

bool Channel::Sending(int64_t now) {
  if (window_.IsEmpty()) {
    Rest(now);
    return true;
  }
  if (now < again_at_) {
    WakeAt(again_at_);
    return false;
  }
  if (!is_head_started_) StartHead(false);
  // Looked at before writing: what was written just now, no reader can have taken yet, and while
  // one reads, FIONREAD would wait for the pipe's lock.
  const int64_t consumed = SampleAndDrain();
  KeepWithinRoom(consumed);
  const bool judged = options_.is_raw ? JudgeRaw(consumed)
                      : is_wide_      ? JudgeWide(consumed)
                                      : JudgeHead(consumed, now);
  if (judged) return true;
  if (WatchReads()) return true;
  const int64_t nxt = window_.nxt();
  if (consumed == nxt)
    TellRoomAhead(std::min<int64_t>(SendLimit() - nxt, counters.pipe_capacity), now);
  const Wrote wrote = WriteUpTo(SendLimit(), now);
  if (wrote == Wrote::kFailed) return true;
  if ((window_.nxt() == nxt || no_reader_since_ != 0) && WatchForLoss(consumed, now)) return true;
  if (wrote == Wrote::kAll && window_.nxt() < SendLimit()) {
    WakeAt(0);  // the budget is used up: others first
    return false;
  }
  return AwaitReader(now);
}

// Rule 4: what is partly written goes out to its end, everything is waited for, then it all goes
// again.
bool Channel::Draining(int64_t now) {
  int64_t limit = window_.nxt();
  bool is_whole = true;
  for (size_t i = 0; i < window_.ArchiveCount() && window_.At(i).start < window_.nxt(); ++i) {
    limit = std::max(limit, window_.EndOf(window_.At(i)));
    is_whole = !window_.At(i).IsOpen();
  }
  const Wrote wrote = WriteUpTo(limit, now);
  if (wrote == Wrote::kFailed) return true;
  const int64_t consumed = SampleAndDrain();
  KeepWithinRoom(consumed);
  if (is_whole && window_.nxt() == limit && consumed == limit) {
    SendAgain(now);
    return true;
  }
  if (WatchForLoss(consumed, now)) return true;
  if (wrote == Wrote::kAll && window_.nxt() < limit) {
    WakeAt(0);
    return false;
  }
  return AwaitReader(now);
}

bool Channel::Tearing(int64_t now) {
  const Wrote wrote = WriteUpTo(tear_at_, now);
  if (wrote == Wrote::kFailed) return true;
  const int64_t consumed = SampleAndDrain();
  const bool is_gone = !fifo::HasReader(write_end_);
  if (is_gone && no_reader_since_ == 0) no_reader_since_ = now;
  if (!is_gone) no_reader_since_ = 0;
  if (consumed >= tear_at_ || (is_gone && now - no_reader_since_ >= kReaderGoneNs)) {
    CloseWriteEnd();
    if (window_.HasOpen()) {
      window_.Finish(now);
      is_streaming_ = false;
      is_discarding_ = true;
    }
    window_.PopHead();
    hold_until_ = now + kHoldNs;
    Enter(State::kHolding);
    return true;
  }
  WakeAt(now + backoff_.Next());
  return false;
}

// A blocked reader misses the end of file when the write end is opened again too soon.
bool Channel::Holding(int64_t now) {
  if (now < hold_until_) {
    WakeAt(hold_until_);
    return false;
  }
  Enter(State::kIdle);
  return true;
}

bool Channel::Lingering(int64_t now) {
  const bool is_awaited = asks_for_writer_ && !trail_.IsTouched();
  const int64_t until = linger_until_ + (is_awaited ? kAskNs : 0);
  if (now < until) {
    WakeAt(until);
    return false;
  }
  asks_for_writer_ = trail_.HasAskedForWriter();
  CloseWriteEnd();
  Enter(State::kIdle);
  return true;
}

bool Channel::Closing(int64_t now) {
  if (now < linger_until_) {
    WakeAt(linger_until_);
    return false;
  }
  if (write_end_.IsOpen()) {
    // A reader now sees the end of file and leaves. Who opened the FIFO again before that would
    // write to one that is leaving, or that does not see this end any more. Spouts find out by
    // themselves.
    const bool is_leaving = options_.is_raw && is_tracked_ && fifo::HasReader(write_end_);
    hold_until_ = is_leaving ? now + kLeaveNs : 0;
    CloseWriteEnd();
  }
  if (now < hold_until_) {
    WakeAt(hold_until_);
    return false;
  }
  stage_.Close();
  engine_.Unwatch(this);
  claim_.Close();
  unpackers_.LetGo();
  Enter(State::kGone);
  Tell({.kind = Report::Kind::kClosed});
  return false;
}

// The window is empty.
void Channel::Rest(int64_t now) {
  if (options_.is_persistent || options_.is_raw) {
    // The engine wakes once more: so it need not be woken for a next archive that is sent at once.
    rested_at_ = now;
    Enter(State::kIdle);
    return;
  }
  linger_until_ = now + kLingerNs;
  Enter(State::kLingering);
}

// ---- telling
// -------------------------------------------------------------------------------------------------------

void Channel::Tell(const Report& report) {
  reports_.push_back(report);
  TellReports();
}

// Who hears of something finds it counted.
void Channel::TellReports() {
  if (reports_.empty()) return;
  Publish();
  mailbox_.Tell(&reports_, !is_owner_stepping);
}

// While the pipe takes bytes not at the first byte of room: a wake-up of JavaScript costs as much
// as writing a good many.
void Channel::TellRoom(int64_t now) {
  if (!wants_room_.load() || !HasRoom()) return;
  const int64_t queued = counters.unwritten.load(std::memory_order_relaxed);
  if (queued > options_.high_water / 4 && window_.nxt() < window_.end()) {
    if (stalled_since_ == 0) return;
    if (now < stalled_since_ + kStuckNs) {
      WakeAt(stalled_since_ + kStuckNs);
      return;
    }
  }
  wants_room_.store(false);
  reports_.push_back({.kind = Report::Kind::kRoom});
  mailbox_.Tell(&reports_, !is_owner_stepping);  // perhaps ahead of the counts
}

// `bytes` are about to go into an empty pipe: JavaScript gets ready more while they are copied.
void Channel::TellRoomAhead(int64_t bytes, int64_t now) {
  // Not of a raw channel, where it means that bytes are in the pipe.
  if (options_.is_raw || !wants_room_.load()) return;
  Publish();
  counters.unwritten -= bytes;
  TellRoom(now);
}

void Channel::Publish() {
  const auto set = [](Counters::Counter& counter, int64_t value) {
    counter.store(value, std::memory_order_relaxed);
  };
  set(counters.unwritten, window_.end() - window_.nxt() + backlog_.Bytes());
  set(counters.retained, window_.RetainedBytes() + backlog_.Bytes());
  set(counters.pipe_unread, write_end_.IsOpen() ? window_.nxt() - last_consumed_ : 0);
  set(counters.undelivered, static_cast<int64_t>(window_.ArchiveCount() + backlog_.Finished()) -
                                (window_.HasOpen() ? 1 : 0));
  // Last: JavaScript may see some bytes twice for a moment, as accepted and as unwritten, but never
  // not at all.
  counters.received.store(received_);
  set(counters.is_tracked, is_tracked_ ? 1 : 0);
  set(counters.is_wide, is_wide_ ? 1 : 0);
  set(counters.state, static_cast<int64_t>(state_));
}

}  // namespace tarspout
