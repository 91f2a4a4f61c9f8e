#include "engine/channel.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

namespace tarspout {
namespace {

constexpr int64_t kMs = 1'000'000;

// Rules 3 to 9 of docs/delivery.md, which says why each is what it is.
constexpr int64_t kSettleNs =
    2 * kMs;  // a read that was going on when the end was seen is reported by then
constexpr int64_t kLingerNs = 2 * kMs;  // 1.11.0-2 finishes a commit only if a writer is there then
constexpr int64_t kAskNs = 100 * kMs;   // and longer if it has not looked for one yet
constexpr int64_t kReaderGoneNs = 50 * kMs;  // without a reader for so long: start over
constexpr int64_t kHoldNs = 100 * kMs;       // for a reader to see the end of file after a cut
constexpr int64_t kLeftoverNs = 100 * kMs;   // the same, after a dead writer's bytes were taken
constexpr int64_t kRemovedNs = 1000 * kMs;   // a FIFO that is not replaced by then is gone
constexpr int64_t kSafetyNs = 100 * kMs;     // look even if no event came
constexpr int64_t kMostSafetyNs = 2000 * kMs;
constexpr int64_t kMostAgainNs = 64 * kMs;  // longest pause before sending again
constexpr int kQuietArchives = 16;          // in a row, before several go out at once
constexpr int64_t kWriteBytes = 256 << 10;  // per system call
constexpr int64_t kMapBytes = 640 << 10;    // the same, mapped: of a pipe of 1 MiB the larger half
constexpr int64_t kPatienceNs = 100'000;    // JavaScript's thread looks so long for a receipt
constexpr int64_t kStuckNs = 2 * kMs;
constexpr int64_t kNapNs = 400'000;
constexpr int kMostMisses = 6;             // in vain: tried again with each 64th archive only
constexpr int64_t kBudgetBytes = 4 << 20;  // per step, so that one FIFO cannot starve the others
constexpr size_t kPieces = 256;            // per system call; the kernel takes 1024 (IOV_MAX)
constexpr int kTurns = 64;                 // states per step
constexpr int64_t kFirstPollNs = 10'000;
constexpr int64_t kMostPollNs = 320'000;  // then reads are watched instead
constexpr size_t kCutBytes = 256;  // half a header: no reader takes it for the end of an archive

constexpr int64_t kLateReportNs = 20'000;  // a read is reported that much after FIONREAD shows it

const uint8_t kZeros[1024] = {};

int64_t PauseBeforeAttempt(uint32_t attempt) {
  return attempt <= 2 ? 0 : std::min(kMostAgainNs, kMs << std::min(attempt - 3, 10u));
}

}  // namespace

// ---- Histogram
// -----------------------------------------------------------------------------------------------------

void Histogram::Add(int64_t ns) {
  const auto value = static_cast<uint64_t>(std::max<int64_t>(ns, 1));
  const int log = 63 - std::countl_zero(value);
  const auto quarter = log >= 2 ? (value >> (log - 2)) & 3 : 0;
  ++buckets_[static_cast<size_t>(log) * 4 + quarter];
  ++count_;
  max_ = std::max(max_, ns);
}

int64_t Histogram::Quantile(double part) const {
  const auto wanted = static_cast<uint64_t>(part * static_cast<double>(count_));
  uint64_t seen = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen > wanted)
      return std::min(max_, ((int64_t{4} + static_cast<int64_t>(i % 4) + 1) << (i / 4)) / 4);
  }
  return max_;
}

// ---- JavaScript's thread
// -------------------------------------------------------------------------------------------

Channel::Channel(ChannelOptions options, std::function<void()> notify)
    : options_(std::move(options)),
      engine_(Engine::Get()),
      notify_(std::move(notify)),
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
  is_scheduled.store(true);
  engine_.Schedule(shared_from_this());
  return Failure::kNone;
}

void Channel::Post(std::vector<Item>* items, Urgency urgency) {
  const bool is_awaited = TakeOver(items);
  if (urgency == Urgency::kLater || (urgency == Urgency::kSoon && is_awaited)) return;
  if (!is_scheduled.exchange(true)) engine_.Schedule(shared_from_this());
}

// Writing a little into an empty pipe costs less than waking the engine. A reader that waits takes
// it at once; the receipt then needs no wake-up at all. A commit, though, takes readers a while.
void Channel::PostAlone(std::vector<Item>* items) {
  TakeOver(items);
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
  if (!is_scheduled.exchange(true)) engine_.Schedule(shared_from_this());
}

// True: the engine looks by itself soon.
bool Channel::TakeOver(std::vector<Item>* items) {
  bool is_awaited;
  {
    const std::lock_guard lock(mutex_);
    is_awaited = is_awaited_;
    if (inbox_.empty()) {
      inbox_.swap(*items);
    } else {
      std::move(items->begin(), items->end(), std::back_inserter(inbox_));
    }
  }
  items->clear();
  return is_awaited;
}

void Channel::WantRoom() {
  wants_room_.store(true);
  if (!is_scheduled.exchange(true)) engine_.Schedule(shared_from_this());
}

bool Channel::HasRoom() const {
  return counters.QueuedBytes() < options_.high_water &&
         (counters.undelivered == 0 || counters.RetainedBytes() < options_.retain_bytes);
}

void Channel::WantOpen() {
  {
    const std::lock_guard lock(mutex_);
    wants_open_ = true;
  }
  if (!is_scheduled.exchange(true)) engine_.Schedule(shared_from_this());
}

void Channel::Close(int64_t linger_ns) {
  {
    const std::lock_guard lock(mutex_);
    wants_close_ = true;
    linger_ns_ = linger_ns;
  }
  if (!is_scheduled.exchange(true)) engine_.Schedule(shared_from_this());
}

void Channel::Abort() {
  {
    const std::lock_guard lock(mutex_);
    wants_abort_ = true;
  }
  if (!is_scheduled.exchange(true)) engine_.Schedule(shared_from_this());
}

void Channel::Detach() {
  std::unique_lock lock(mutex_);
  notify_ = nullptr;
  wants_detach_ = true;
  lock.unlock();
  engine_.Schedule(shared_from_this());
  lock.lock();
  detached_.wait(lock, [this] { return is_detached_; });
}

std::vector<Report> Channel::TakeReports() {
  std::vector<Report> taken;
  const std::lock_guard lock(mutex_);
  taken.swap(outbox_);
  return taken;
}

Histogram Channel::StallHistogram() {
  const std::lock_guard lock(mutex_);
  return stalls_;
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
  const std::lock_guard lock(mutex_);
  is_awaited_ = is_busy;
  if (!is_busy && !inbox_.empty()) WakeAt(0);  // came without waking us
}

void Channel::TakeItems(int64_t now) {
  bool wants_abort, wants_detach;
  {
    const std::lock_guard lock(mutex_);
    taken_.swap(inbox_);
    if (std::exchange(wants_open_, false)) is_open_wanted_ = true;
    if (std::exchange(wants_close_, false)) is_closing_ = true;
    wants_abort = std::exchange(wants_abort_, false);
    wants_detach = wants_detach_;
  }
  took_items_ = !taken_.empty();
  for (Item& item : taken_) TakeItem(&item, now);
  taken_.clear();
  if ((wants_abort || wants_detach) && state_ != State::kGone) {
    FailAll(Failure::kAborted);
    CloseWriteEnd();
    Enter(State::kClosing);
    linger_until_ = 0;
  }
  if (wants_detach) {
    if (state_ != State::kGone) Closing(now);
    const std::lock_guard lock(mutex_);
    is_detached_ = true;
    detached_.notify_all();
  }
}

void Channel::TakeItem(Item* item, int64_t now) {
  const auto size = static_cast<int64_t>(item->segment.size);
  received_ += size;
  if (is_discarding_) {
    Discard(*item);
    return;
  }
  if (is_streaming_) {
    AdmitItem(item, now);
    return;
  }
  switch (item->kind) {
    case Item::Kind::kAppend:
      backlog_open_bytes_ += size;
      break;
    case Item::Kind::kFinish:
      ++backlog_finished_;
      backlog_open_bytes_ = 0;
      break;
    case Item::Kind::kAbort:
      // Nothing of it is in the window: it never was.
      while (backlog_.back().kind != Item::Kind::kBegin) backlog_.pop_back();
      backlog_.pop_back();
      backlog_bytes_ -= backlog_open_bytes_;
      backlog_open_bytes_ = 0;
      return;
    case Item::Kind::kBegin:
      break;
  }
  backlog_bytes_ += size;
  backlog_.push_back(std::move(*item));
}

// Rule 1: an archive gets into the window whole, or, once it has grown past the high water mark,
// alone. Per archive, one at a time.
void Channel::Admit(int64_t now) {
  while (!backlog_.empty() && !is_streaming_) {
    const bool may_follow = options_.is_persistent || (window_.IsEmpty() && !write_end_.IsOpen());
    if (backlog_finished_ > 0) {
      if (!may_follow) return;
    } else if (!options_.is_raw &&
               (!window_.IsEmpty() || backlog_open_bytes_ < options_.high_water)) {
      return;
    }
    // Up to the archive's end, or, if that has not come yet, all there is.
    const bool is_whole = backlog_finished_ > 0;
    for (bool ended = false; !ended && !backlog_.empty();) {
      Item item = std::move(backlog_.front());
      backlog_.pop_front();
      backlog_bytes_ -= static_cast<int64_t>(item.segment.size);
      ended = item.kind == Item::Kind::kFinish;
      AdmitItem(&item, now);
    }
    if (is_whole) {
      --backlog_finished_;
    } else {
      backlog_open_bytes_ = 0;
      is_streaming_ = true;
    }
  }
}

void Channel::AdmitItem(Item* item, int64_t now) {
  switch (item->kind) {
    case Item::Kind::kBegin:
      window_.Begin(item->number);
      break;
    case Item::Kind::kAppend:
      window_.Append(std::move(item->segment));
      break;
    case Item::Kind::kFinish:
      window_.Finish(now);
      is_streaming_ = false;
      break;
    case Item::Kind::kAbort:
      AbortOpen(item->inside_body);
      is_streaming_ = false;
      break;
  }
}

void Channel::AbortOpen(bool inside_body) {
  const Archive& open = window_.Tail();
  if (window_.nxt() <= open.start) {
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
  if (!inside_body) window_.Append({kZeros, kCutBytes, nullptr});
  window_.Finish(0);
  tear_at_ = window_.end();
  Enter(State::kTearing);
}

void Channel::Discard(const Item& item) {
  if (item.kind == Item::Kind::kFinish || item.kind == Item::Kind::kAbort) is_discarding_ = false;
}

void Channel::Saw(fifo::Sight sight, int64_t now) {
  switch (sight) {
    case fifo::Sight::kReaderOpened:
      readers_moved_ = true;
      MarkTrails([&](ReaderTrail* trail) { trail->Opened(now); });
      break;
    case fifo::Sight::kReaderClosed:
      readers_moved_ = true;
      MarkTrails([&](ReaderTrail* trail) { trail->Closed(now); });
      if (state_ == State::kHolding) hold_until_ = std::min(hold_until_, now + kLingerNs);
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
  // Our own looking and opening is reported too: without a write end only the path and the end of a
  // hold matter.
  if (write_end_.IsOpen() || path_changed_ || state_ == State::kHolding) must_step = true;
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
  CloseWriteEnd();
  engine_.Unwatch(this);
  claim_.Close();
  Enter(State::kGone);
  Tell({.kind = Report::Kind::kClosed});
  return false;
}

// ---- writing and looking
// -------------------------------------------------------------------------------------------

Channel::Wrote Channel::WriteUpTo(int64_t limit, int64_t now) {
  const int64_t most = options_.maps_pages ? kMapBytes : kWriteBytes;
  int64_t budget = kBudgetBytes;
  while (window_.nxt() < limit && budget > 0) {
    const bool has_unpacked = window_.Gather(limit, kPieces, most, &pieces_);
    const bool maps = options_.maps_pages && (!has_unpacked || unpackers_.MayMap());
    iovec vectors[kPieces];
    int64_t wanted = 0;
    for (size_t i = 0; i < pieces_.size(); ++i) {
      vectors[i] = {const_cast<uint8_t*>(pieces_[i].data), pieces_[i].size};
      wanted += static_cast<int64_t>(pieces_[i].size);
    }
    const int count = static_cast<int>(pieces_.size());
    const int64_t wrote =
        maps ? fifo::MapIn(write_end_, vectors, count) : fifo::Write(write_end_, vectors, count);
    if (wrote > 0) {
      ++counters.writes;
      counters.written += wrote;
      if (maps && has_unpacked) unpackers_.Mapped(counters.written);
      window_.Advance(wrote);
      budget -= wrote;
      moved_at_ = now;
      if (stalled_since_ != 0) EndStall(NowNs());
      if (wrote == wanted) continue;
      // The pipe is full. Another try waits for its lock for as long as the reader reads: mapping,
      // which is quick, gains by it; copying does not.
      ++counters.short_writes;
      if (maps) continue;
      stalled_since_ = NowNs();
      return Wrote::kBlocked;
    }
    switch (-wrote) {
      case EAGAIN:
        ++counters.eagain;
        if (stalled_since_ == 0) stalled_since_ = now;
        return Wrote::kBlocked;
      case EPIPE:
        ++counters.epipe;
        readers_moved_ = true;
        WakeAt(now + kMs);  // should the reader be back before we look for it
        return Wrote::kBlocked;
      case EFAULT:
        // A borrowed body's memory is gone. Its header is out, or goes out: cut inside the body, so
        // that no reader takes the archive for a whole one.
        Tell({.kind = Report::Kind::kFailed,
              .failure = Failure::kMemory,
              .number = window_.Head().number});
        tear_at_ = window_.nxt();
        backoff_.Reset();
        Enter(State::kTearing);
        return Wrote::kFailed;
      default:
        FailAll(Failure::kSystem, static_cast<int>(-wrote));
        return Wrote::kFailed;
    }
  }
  return Wrote::kAll;
}

void Channel::EndStall(int64_t now) {
  const int64_t stall = now - std::exchange(stalled_since_, 0);
  counters.blocked_ns += stall;
  head_blocked_ns_ += stall;
  const std::lock_guard lock(mutex_);
  stalls_.Add(stall);
}

int64_t Channel::SendLimit() {
  if (options_.is_raw) return window_.end();
  const Archive& head = window_.Head();
  const int64_t head_end = window_.EndOf(head);
  if (is_wide_) {
    const int64_t room = std::max(options_.high_water, head_end - head.start);
    return std::max(head_end, std::min(window_.FinishedEnd(), head.start + room));
  }
  // One in flight; behind it only what proves it committed.
  const bool is_proved_by_next = options_.must_commit && trail_.IsRead() && !head.IsNudge();
  if (is_proved_by_next && window_.ArchiveCount() > 1) return window_.EndOf(window_.At(1));
  return head_end;
}

int64_t Channel::Sample() {
  const int64_t unread = fifo::Unread(write_end_);
  int64_t consumed = window_.nxt() - unread;
  if (consumed < last_consumed_ && !foreign_told_) {
    foreign_told_ = true;
    Tell({.kind = Report::Kind::kForeignWriter});
  }
  consumed = std::max(consumed, std::min(last_consumed_, window_.nxt()));
  if (consumed > last_consumed_) {
    counters.consumed += consumed - last_consumed_;
    moved_at_ = NowNs();
  }
  last_consumed_ = consumed;
  return consumed;
}

// Of all that was ever written, unless it was dropped with its pipe.
int64_t Channel::BytesRead() const { return counters.written - fifo::Unread(write_end_); }

// The order is what makes it sound: a reader that took bytes of the sample opened before, and its
// open is in the queue.
int64_t Channel::SampleAndDrain() {
  const int64_t consumed = Sample();
  if (is_tracked_) engine_.DrainSights();
  return consumed;
}

void Channel::SetReadsWatched(bool watched) {
  if (!is_tracked_ || reads_watched_ == watched) return;
  reads_watched_ = watched;
  is_tracked_ = engine_.Watch(this, options_.path, watched);
}

// Which reads matter: the archive's first one, those of its last bytes, and those past it. Any
// other would wake the engine for nothing, and the reader would pay for the report. True: look
// again, a read may have come before the watch.
bool Channel::WatchReads() {
  if (is_wide_) return false;
  const Archive& head = window_.Head();
  const bool is_far = head.IsOpen() || head.end - window_.nxt() > kWriteBytes;
  const bool is_wanted = !is_far || (!options_.is_raw && trail_.IsUnread());
  const bool is_new = is_tracked_ && is_wanted && !reads_watched_;
  SetReadsWatched(is_wanted);
  return is_new;
}

// Sleeps until the reader did something, or it is time to look. True: look again at once.
bool Channel::AwaitReader(int64_t now) {
  const int64_t quiet = now - moved_at_;
  // An open archive cannot be confirmed yet; what else matters gives an event.
  const bool is_open = !window_.IsEmpty() && window_.Head().IsOpen();
  if (is_tracked_ && (reads_watched_ || is_open || stalled_since_ != 0)) {
    WakeAt(now + std::clamp(quiet, kSafetyNs, kMostSafetyNs));
    return false;
  }
  if (is_tracked_ && quiet > kMostPollNs) {
    SetReadsWatched(true);
    return true;  // a read may have come before the watch
  }
  WakeAt(now + std::clamp(quiet, kFirstPollNs, 20 * kMs));
  return false;
}

void Channel::KeepWithinRoom(int64_t consumed) {
  const bool is_kept = !options_.is_raw && window_.CanRewind();
  if (is_kept && window_.nxt() - window_.base() <= options_.retain_bytes) return;
  // Of an archive that cannot be sent again nothing is kept: memory used again at once is in the
  // caches.
  const int64_t gone = options_.maps_pages ? std::min(consumed, window_.nxt()) : window_.nxt();
  const int64_t to = options_.is_raw ? gone : std::min(gone, window_.EndOf(window_.Head()));
  if (options_.spills && is_kept) {
    const int64_t from = std::max(spilled_to_, window_.base());
    if (window_.nxt() - from <= options_.retain_bytes) return;
    bool has_failed = false;
    spilled_to_ = window_.MoveSegments(from, to, [&](Segment* segment) {
      has_failed = !spill_.Take(segment);
      return !has_failed;
    });
    if (!has_failed) return;
  }
  window_.ReleaseTo(to);
}

// ---- judging
// -------------------------------------------------------------------------------------------------------

bool Channel::JudgeHead(int64_t consumed, int64_t now) {
  const Archive& head = window_.Head();
  if (head.IsNudge()) {
    if (consumed < head.end) return false;
    PopHead();
    if (!window_.IsEmpty()) StartHead(consumed > window_.una());
    return true;
  }
  const bool is_written = !head.IsOpen() && window_.nxt() >= head.end;
  int64_t latest = consumed;
  if (!trail_.IsUntouched() && (consumed == head.start || is_written)) {
    // What was seen may be newer than the sample. If even now nothing of the archive is consumed,
    // all of it was between archives, a late report of the last one's reads included.
    latest = Sample();
    if (latest == head.start) trail_.Reset(false, false);
  }
  trail_.Sampled(consumed > head.start, !is_written || latest < head.end);
  if (trail_.IsDoubtful()) {
    Enter(State::kDraining);
    return true;
  }
  if (!is_written || consumed < head.end) return false;
  if (!trail_.IsRead()) {
    if (trail_.IsTouched()) {
      if (settle_until_ == 0) settle_until_ = now + kSettleNs;
      if (now < settle_until_) {
        WakeAt(settle_until_);
        return false;
      }
    }
    if (options_.must_commit && is_tracked_) {
      // What is written next must not be read before the reports of this archive's reads are in.
      AwaitLateReport();
      engine_.DrainSights();
      if (trail_.IsDoubtful()) {
        Enter(State::kDraining);
        return true;
      }
    }
    trail_.MarkRead();
    settle_until_ = 0;
  }
  if (!options_.must_commit) {
    DeliverHead(consumed);
    return true;
  }
  if (consumed > head.end) {
    if (!trail_.IsFinishedByReadingOn()) {
      Enter(State::kDraining);
      return true;
    }
    if (is_tracked_ && !trail_.MayHavePassed()) {
      WakeAt(now + kLateReportNs);  // the report of the read that shows it is on its way
      return false;
    }
    DeliverHead(consumed);
    return true;
  }
  if (window_.ArchiveCount() == 1) {
    AppendNudge(now);
    return true;
  }
  return false;  // what proves it committed is written next
}

// Several in flight: no opens and closes after the sample was taken mean that one reader took all
// of it.
bool Channel::JudgeWide(int64_t consumed) {
  if (readers_moved_) {
    Narrow();
    if (SampleAndDrain() > window_.una()) Enter(State::kDraining);
    return true;
  }
  bool delivered = false;
  while (!window_.IsEmpty()) {
    const Archive& head = window_.Head();
    if (head.IsOpen()) break;
    const bool is_confirmed =
        options_.must_commit && !head.IsNudge() ? head.end < consumed : head.end <= consumed;
    if (!is_confirmed) break;
    if (head.IsNudge()) {
      PopHead();
    } else {
      DeliverHead(consumed);
    }
    delivered = true;
  }
  if (delivered) return true;
  const Archive& head = window_.Head();
  if (options_.must_commit && !head.IsOpen() && head.end == consumed &&
      window_.ArchiveCount() == 1) {
    AppendNudge(NowNs());
    return true;
  }
  return false;
}

bool Channel::JudgeRaw(int64_t consumed) {
  bool delivered = false;
  while (!window_.IsEmpty() && !window_.Head().IsOpen() && window_.Head().end <= consumed) {
    DeliverHead(consumed);
    delivered = true;
  }
  return delivered;
}

void Channel::DeliverHead(int64_t consumed) {
  const Archive& head = window_.Head();
  ++counters.delivered;
  const Report report{.kind = Report::Kind::kDelivered,
                      .number = head.number,
                      .attempts = head.attempts,
                      .blocked_ns = std::exchange(head_blocked_ns_, 0)};
  PopHead();  // first: who hears of the delivery finds the borrowed memory given back
  Tell(report);
  if (options_.is_raw || is_wide_) return;
  const bool is_quiet = trail_.IsQuiet();
  quiet_archives_ = is_quiet ? quiet_archives_ + 1 : 0;
  if (options_.is_persistent && is_tracked_ && quiet_archives_ >= kQuietArchives &&
      window_.nxt() == window_.una()) {
    engine_.DrainSights();  // what readers did until now was between archives
    is_wide_ = true;
    readers_moved_ = false;
    SetReadsWatched(false);
    return;
  }
  if (window_.IsEmpty()) return;
  if (trail_.MayHavePassed()) {
    trail_ = std::exchange(next_trail_, ReaderTrail());
    return;
  }
  if (consumed > window_.una() && trail_.IsTouched()) {
    // Sent with the one before it, while several were in flight: whose read was the last before the
    // touch?
    Enter(State::kDraining);
    return;
  }
  StartHead(consumed > window_.una());
}

void Channel::PopHead() {
  window_.PopHead();
  if (window_.IsEmpty()) is_head_started_ = false;
}

// A new archive comes to the head of the window.
void Channel::StartHead(bool being_read) {
  is_head_started_ = true;
  settle_until_ = 0;
  next_trail_.Reset(true);
  if (is_wide_) return;
  SetReadsWatched(true);
  // What readers did until now was between archives. Not so if the archive is on its way already.
  if (!being_read && is_tracked_) {
    if (quiet_archives_ == 0) AwaitLateReport();
    engine_.DrainSights();
  }
  trail_.Reset(being_read);
}

// A read is reported some microseconds after FIONREAD shows it. With readers that come and go by
// nature it must not be taken for a read of the next archive: the next coming would look like
// doubt.
void Channel::AwaitLateReport() {
  const int64_t until = NowNs() + kLateReportNs;
  while (NowNs() < until) {
  }
}

void Channel::AppendNudge(int64_t now) {
  window_.Begin(0);
  window_.Append({kZeros, sizeof(kZeros), nullptr});
  window_.Finish(now);
}

// Back to one archive in flight, with reads watched. Nothing new is admitted until what is on its
// way is judged.
void Channel::Narrow() {
  quiet_archives_ = 0;
  is_wide_ = false;
  readers_moved_ = false;
  SetReadsWatched(true);
  trail_.Reset(false);
  next_trail_.Reset(true);
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

// ---- when things go wrong
// ------------------------------------------------------------------------------------------

// True: the state changed.
bool Channel::WatchForLoss(int64_t consumed, int64_t now) {
  const bool is_gone = !fifo::HasReader(write_end_);
  counters.has_reader = is_gone ? 0 : 1;
  if (!is_gone) {
    if (no_reader_since_ != 0) {
      counters.waiting_for_reader_ns += now - no_reader_since_;
      head_blocked_ns_ += now - no_reader_since_;
      no_reader_since_ = 0;
      Tell({.kind = Report::Kind::kReaderBack});
      return state_ == State::kSending || state_ == State::kDraining;
    }
    return false;
  }
  if (no_reader_since_ == 0) {
    no_reader_since_ = now;
    backoff_.Reset();
    Tell({.kind = Report::Kind::kReaderLost});
  }
  if (state_ == State::kIdle) return false;
  if (options_.is_raw) {
    if (consumed == window_.end()) return false;
    FailAll(Failure::kReaderLost);
    return true;
  }
  if (consumed > window_.una()) {
    // In doubt the next reader must not go on where this one left: closed before it comes, the pipe
    // is gone. Mapped pages wait, since those that are dropped are kept for good.
    const bool at_once =
        state_ == State::kDraining && !options_.maps_pages && fifo::MarkPipe(write_end_) != 0;
    if (at_once || now - no_reader_since_ >= kReaderGoneNs) {
      CloseAndReopen(now);
      return true;
    }
    WakeAt(no_reader_since_ + kReaderGoneNs);
  } else if (FailOverdue(now)) {
    return true;
  }
  WakeAt(now + backoff_.Next(now - no_reader_since_));
  return false;
}

// From the oldest unconfirmed archive on.
void Channel::SendAgain(int64_t now) {
  while (!window_.IsEmpty() && window_.nxt() > window_.una()) {
    if (!window_.CanRewind()) {
      FailHead(Failure::kReplayLimit);
    } else if (window_.Head().attempts >= options_.max_attempts) {
      FailHead(Failure::kUncertain);
    } else {
      break;
    }
  }
  Narrow();
  again_at_ = 0;
  if (window_.IsEmpty()) {
    Enter(State::kSending);
    return;
  }
  if (window_.nxt() > window_.una()) {
    ++counters.replays;
    Tell({.kind = Report::Kind::kReplay,
          .number = window_.Head().number,
          .attempts = window_.Head().attempts + 1});
    window_.Rewind();
    again_at_ = now + PauseBeforeAttempt(window_.Head().attempts);
  }
  last_consumed_ = window_.nxt();
  StartHead(false);
  Enter(State::kSending);
}

void Channel::OpenWriteEnd(fifo::Fd fd, int64_t now) {
  write_end_ = std::move(fd);
  engine_.WatchRoom(this, write_end_.get());
  ++counters.opens;
  counters.has_reader = 1;
  const int64_t capacity = fifo::Capacity(write_end_);
  if (capacity != options_.pipe_size) fifo::SetCapacity(write_end_, options_.pipe_size);
  counters.pipe_capacity = fifo::Capacity(write_end_);
  if (no_reader_since_ != 0) {
    counters.waiting_for_reader_ns += now - no_reader_since_;
    head_blocked_ns_ += now - no_reader_since_;
    no_reader_since_ = 0;
  }
  backoff_.Reset();
  is_open_wanted_ = false;
  const int64_t left = fifo::Unread(write_end_);
  const int64_t sent = window_.nxt() - window_.una();
  // A reader came just before the pipe was closed and kept it: it has the rest, or what it read of
  // it.
  const bool is_kept = mark_ != 0 && capacity == mark_;
  const bool has_rest = mark_ != 0 ? is_kept : left > 0 && left <= sent;
  mark_ = 0;
  if (resumes_ && sent > 0 && has_rest) {
    resumes_ = false;
    last_consumed_ = std::max(window_.nxt() - left, window_.una());
    Enter(State::kDraining);
    return;
  }
  if ((left > 0 || is_kept) && !options_.is_raw) {
    has_looked_ = false;  // of nothing that can be sent again: let the reader finish it
    saw_leftover_ = true;
    CloseWriteEnd();
    no_reader_since_ = now;
    clear_since_ = 0;
    Enter(State::kLooking);
    return;
  }
  if (std::exchange(resumes_, false)) {
    last_consumed_ = window_.nxt();
    SendAgain(now);
    return;
  }
  last_consumed_ = window_.nxt();
  if (options_.is_raw) Tell({.kind = Report::Kind::kOpened});
  Narrow();
  StartHead(false);
  Enter(window_.IsEmpty() ? State::kIdle : State::kSending);
}

void Channel::CloseWriteEnd() {
  if (!write_end_.IsOpen()) return;
  if (stalled_since_ != 0) EndStall(NowNs());
  if (options_.maps_pages && fifo::Unread(write_end_) > 0) KeepMapped();
  write_end_.Close();
  if (is_tracked_) ++own_closes_;
  counters.has_reader = 0;
  counters.pipe_unread = 0;
}

// Pages mapped into a pipe that is closed with bytes unread can no longer be counted, and a reader
// may still have them: what they belong to is never given back.
void Channel::KeepMapped() {
  static std::vector<std::shared_ptr<const void>>& kept =
      *new std::vector<std::shared_ptr<const void>>();
  window_.MoveSegments(window_.base(), window_.end(), [](Segment* segment) {
    if (!segment->IsPacked()) kept.push_back(segment->owner);
    return true;
  });
  unpackers_.Abandon();
}

void Channel::CloseAndReopen(int64_t now) {
  mark_ = write_end_.IsOpen() ? fifo::MarkPipe(write_end_) : 0;
  CloseWriteEnd();
  resumes_ = true;
  backoff_.Reset();
  if (no_reader_since_ == 0) no_reader_since_ = now;
  Enter(State::kOpening);
}

// readerTimeoutMs, counted from when an archive was ready and no reader was there. True: something
// failed.
bool Channel::FailOverdue(int64_t now) {
  if (options_.reader_timeout_ns == kNever || no_reader_since_ == 0) return false;
  bool has_failed = false;
  const auto deadline = [&] {
    const int64_t ready =
        window_.IsEmpty() || window_.Head().IsOpen() ? 0 : window_.Head().finished_ns;
    return std::max(ready, no_reader_since_) + options_.reader_timeout_ns;
  };
  if (options_.is_raw) {
    if (now < deadline()) {
      WakeAt(deadline());
      return false;
    }
    FailAll(Failure::kNoReader);
    return true;
  }
  while (!window_.IsEmpty() && now >= deadline()) {
    if (write_end_.IsOpen()) CloseAndReopen(now);  // drops what of it is in the pipe
    FailHead(Failure::kNoReader);
    has_failed = true;
    Admit(now);
  }
  if (!window_.IsEmpty()) WakeAt(deadline());
  return has_failed;
}

// Gives the head archive up. Nothing of it is in the pipe any more.
void Channel::FailHead(Failure failure, int error) {
  const Report report{.kind = Report::Kind::kFailed,
                      .failure = failure,
                      .number = window_.Head().number,
                      .attempts = window_.Head().attempts,
                      .error = error};
  if (window_.Head().IsOpen()) {
    window_.Finish(0);
    is_streaming_ = false;
    is_discarding_ = true;
  }
  window_.PopHead();
  if (report.number != 0) Tell(report);
}

// Everything pending fails.
void Channel::FailAll(Failure failure, int error) {
  CloseWriteEnd();
  while (!window_.IsEmpty()) FailHead(failure, error);
  // What waits behind never was in the window: put it through, to fail in order.
  for (Item& item : backlog_) {
    if (item.kind == Item::Kind::kBegin) {
      Tell({.kind = Report::Kind::kFailed,
            .failure = failure,
            .number = item.number,
            .error = error});
    }
  }
  const bool has_open = !backlog_.empty() && backlog_.back().kind != Item::Kind::kFinish;
  backlog_.clear();
  backlog_bytes_ = 0;
  backlog_finished_ = 0;
  backlog_open_bytes_ = 0;
  if (has_open) is_discarding_ = true;
  resumes_ = false;
  is_open_wanted_ = false;
  no_reader_since_ = 0;
  stalled_since_ = 0;
  again_at_ = 0;
  last_consumed_ = window_.nxt();
  if (!options_.is_raw) {
    Enter(State::kIdle);
    return;
  }
  // For good: what JavaScript hands over before it hears of this must not reach another reader.
  Tell({.kind = Report::Kind::kBroken, .failure = failure, .error = error});
  linger_until_ = 0;
  Enter(State::kClosing);
}

// Nothing of ours is in the FIFO: whoever comes to it under another name may have it.
void Channel::LeaveFifo() {
  claim_.Close();
  identity_ = {};
}

// The path may lead to another FIFO now, or nowhere. True: the state changed.
bool Channel::FollowPath(int64_t now) {
  path_changed_ = false;
  // Bytes go where the write end is open, whatever becomes of the name: `rm` once both ends are
  // open is common.
  if (options_.is_raw && write_end_.IsOpen()) return false;
  const fifo::PathInfo info = fifo::Inspect(options_.path);
  if (info.error != 0) {
    if (missing_since_ == 0) missing_since_ = now;
    // The FIFO may be freed, and another one made under its inode number: it is not ours any more.
    if (!write_end_.IsOpen()) LeaveFifo();
    if (now - missing_since_ < kRemovedNs) {
      WakeAt(now + 20 * kMs);
      return false;
    }
    const bool had_work =
        !window_.IsEmpty() || !backlog_.empty() || is_open_wanted_ || write_end_.IsOpen();
    if (had_work) FailAll(Failure::kRemoved, info.error);
    missing_since_ = had_work || state_ != State::kIdle ? now : 0;
    return had_work;
  }
  missing_since_ = 0;
  if (!info.is_fifo) {
    FailAll(Failure::kNotAFifo);
    return true;
  }
  if (info.identity == identity_) {
    // Again, since what was watched under this number may have been another one.
    is_tracked_ = engine_.Watch(this, options_.path, reads_watched_ = true);
    return false;
  }
  // Another FIFO stands there. What the old one's reader did not confirm is sent again to the new
  // one's.
  fifo::Opened claim = fifo::Claim(info.identity);
  if (claim.error == EADDRINUSE) {
    FailAll(Failure::kBusy);
    return true;
  }
  claim_ = std::move(claim.fd);
  identity_ = info.identity;
  engine_.Unwatch(this);
  own_closes_ = 0;
  const bool was_under_way =
      state_ == State::kSending || state_ == State::kDraining || state_ == State::kOpening;
  CloseWriteEnd();
  own_closes_ = 0;
  is_tracked_ = engine_.Watch(this, options_.path, reads_watched_ = true);
  if (was_under_way) {
    CloseAndReopen(now);
    return true;
  }
  if (state_ == State::kLingering || state_ == State::kTearing) {
    if (state_ == State::kTearing) window_.PopHead();
    Enter(State::kIdle);
    return true;
  }
  return false;
}

// ---- telling
// -------------------------------------------------------------------------------------------------------

void Channel::Tell(Report report) {
  const std::lock_guard lock(mutex_);
  if (!notify_) return;
  const bool was_empty = outbox_.empty();
  outbox_.push_back(report);
  if (was_empty && !is_owner_stepping) notify_();
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
  Tell({.kind = Report::Kind::kRoom});
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
  set(counters.unwritten, window_.end() - window_.nxt() + backlog_bytes_);
  set(counters.retained, window_.RetainedBytes() + backlog_bytes_);
  set(counters.pipe_unread, write_end_.IsOpen() ? window_.nxt() - last_consumed_ : 0);
  set(counters.undelivered, static_cast<int64_t>(window_.ArchiveCount() + backlog_finished_) -
                                (window_.HasOpen() ? 1 : 0));
  // Last: JavaScript may see some bytes twice for a moment, as accepted and as unwritten, but never
  // not at all.
  counters.received.store(received_);
  set(counters.is_tracked, is_tracked_ ? 1 : 0);
  set(counters.is_wide, is_wide_ ? 1 : 0);
  set(counters.state, static_cast<int64_t>(state_));
}

}  // namespace tarspout
