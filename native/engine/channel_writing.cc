// Channel: bytes go into the pipe, and what the reader took of them is looked at.
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "engine/channel.h"
#include "engine/rules.h"

namespace tarspout {
namespace {

constexpr int64_t kWriteBytes = 256 << 10;      // per system call
constexpr int64_t kStageBytes = 384 << 10;      // the same, into the stage, which holds 1 MiB
constexpr int64_t kMapBytes = 768 << 10;        // the same, mapped
constexpr int64_t kLeastStaged = 128 << 10;     // fewer bytes are written directly
constexpr int64_t kLeastDelegated = 256 << 10;  // or copied by the engine itself
constexpr int64_t kLeastMapped = 8 << 10;       // and mapped smaller pieces, on average
constexpr int64_t kBudgetBytes = 4 << 20;  // per step, so that one FIFO cannot starve the others
// Without inotify's word, reads are polled for: that often at first, and so long at most; then they
// are watched.
constexpr int64_t kFirstPollNs = 10'000;
constexpr int64_t kMostPollNs = 320'000;

}  // namespace

Channel::Wrote Channel::WriteUpTo(int64_t limit, int64_t now) {
  TellReports();  // before it takes a while
  int64_t budget = kBudgetBytes;
  while (window_.nxt() < limit && budget > 0) {
    const auto [how, wanted, wrote] = WriteSome(limit);
    if (how == How::kStaged && wrote == 0) continue;  // this system cannot: written directly now
    if (wrote > 0) {
      ++counters.writes;
      counters.written += wrote;
      window_.Advance(wrote);
      budget -= wrote;
      moved_at_ = now;
      if (stalled_since_ != 0) EndStall(NowNs());
      // The reader may have been woken on this processor, and JavaScript may wait for it.
      if (!is_owner_stepping) ::sched_yield();
      if (wrote == wanted) continue;
      // The pipe is full. Another try waits for its lock for as long as the reader reads: mapping,
      // which is quick, gains by it; copying does not.
      ++counters.short_writes;
      if (how == How::kMapped) continue;
      stalled_since_ = NowNs();
      if (how == How::kStaged) StageMore(limit);
      return Wrote::kBlocked;
    }
    switch (-wrote) {
      case EAGAIN:
        ++counters.eagain;
        if (stalled_since_ == 0) stalled_since_ = now;
        if (how == How::kStaged) StageMore(limit);
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

// One call that puts bytes into the pipe: mapped or copied, directly or by way of the stage.
Channel::Attempt Channel::WriteSome(int64_t limit) {
  const int64_t nxt = window_.nxt();
  if (stage_.BytesAt(nxt) == 0) {
    const Gathered gathered = GatherFrom(nxt, limit);
    const int64_t staged = Stage(nxt, gathered);
    if (staged < 0) return {How::kStaged, gathered.bytes, staged};
    if (staged == 0 && gathered.is_mapped) {
      const int64_t mapped = fifo::MapIn(write_end_, vectors_, gathered.count);
      if (mapped > 0 && gathered.is_unpacked) unpackers_.Mapped(counters.written + mapped);
      return {How::kMapped, gathered.bytes, mapped};
    }
    if (staged == 0)
      return {How::kCopied, gathered.bytes, fifo::Write(write_end_, vectors_, gathered.count)};
  }
  const int64_t wanted = std::min(stage_.BytesAt(nxt), limit - nxt);
  return {How::kStaged, wanted, stage_.MoveTo(write_end_, wanted)};
}

// While the pipe is full, the next bytes are made ready to be moved into it.
void Channel::StageMore(int64_t limit) {
  const int64_t staged = stage_.BytesAt(window_.nxt());
  if (staged >= kStageBytes) return;
  const int64_t from = window_.nxt() + staged;
  Stage(from, GatherFrom(from, limit));
}

Channel::Gathered Channel::GatherFrom(int64_t from, int64_t limit) {
  const int64_t most = options_.maps_pages  ? kMapBytes
                       : stage_.IsRefused() ? kWriteBytes
                                            : kStageBytes;
  const bool is_unpacked = window_.Gather(from, limit, kPieces, most, &pieces_);
  int64_t bytes = 0;
  for (size_t i = 0; i < pieces_.size(); ++i) {
    vectors_[i] = {const_cast<uint8_t*>(pieces_[i].data), pieces_[i].size};
    bytes += static_cast<int64_t>(pieces_[i].size);
  }
  return {.count = static_cast<int>(pieces_.size()),
          .bytes = bytes,
          .is_unpacked = is_unpacked,
          .is_mapped = options_.maps_pages && (!is_unpacked || unpackers_.MayMap())};
}

// The detour pays from some size on, not with what was just unpacked (there all processors are at
// work anyway), and not to map small pieces, a page of the pipe each. 0: not taken.
int64_t Channel::Stage(int64_t from, const Gathered& gathered) {
  const int64_t least =
      gathered.is_mapped ? std::max(kLeastStaged, gathered.count * kLeastMapped) : kLeastStaged;
  if (gathered.is_unpacked || gathered.bytes < least || stage_.IsRefused()) return 0;
  if (gathered.is_mapped) return stage_.Map(from, vectors_, gathered.count);
  const bool is_large = gathered.bytes >= kLeastDelegated && !is_owner_stepping;
  return is_large ? engine_.copier().Copy(&stage_, from, vectors_, gathered.count)
                  : stage_.Copy(from, vectors_, gathered.count);
}

void Channel::EndStall(int64_t now) {
  const int64_t stall = now - std::exchange(stalled_since_, 0);
  counters.blocked_ns += stall;
  head_blocked_ns_ += stall;
  stalls.Add(stall);
}

int64_t Channel::SendLimit() {
  if (options_.is_raw) return window_.end();
  const Archive& head = window_.Head();
  const int64_t head_end = window_.EndOf(head);
  if (is_wide_) {
    const int64_t room = std::max(options_.high_water, head_end - head.start);
    return std::max(head_end, std::min(window_.FinishedEnd(), head.start + room));
  }
  // Its last bytes only once reads are watched: a reader that came back in the middle and took all
  // of the rest would show nothing else.
  const bool is_held = is_tracked_ && !reads_watched_ && !head.IsOpen() && !EndIsNear(head);
  if (is_held) return head_end - kWriteBytes;
  // One in flight; behind it only what proves it committed.
  const bool is_proved_by_next = options_.must_commit && trail_.IsRead() && !head.IsNudge();
  if (is_proved_by_next && window_.ArchiveCount() > 1) return window_.EndOf(window_.At(1));
  return head_end;
}

// From here on reads of it are watched, and not before is the rest of it written.
bool Channel::EndIsNear(const Archive& archive) const {
  return !archive.IsOpen() && archive.end - window_.nxt() <= kWriteBytes;
}

int64_t Channel::Sample() {
  // Nothing of ours is unread. What another writer writes shows behind our next bytes.
  if (last_consumed_ == window_.nxt()) return last_consumed_;
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
  const bool is_wanted = EndIsNear(head) || (!options_.is_raw && trail_.IsUnread());
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

}  // namespace tarspout
