// Channel: whether an archive was delivered, is in doubt, or must be waited for.
#include <utility>

#include "engine/channel.h"
#include "engine/rules.h"

namespace tarspout {
namespace {

// Between archives two zero blocks are nothing to a reader; that it takes them proves that it read
// on.
const uint8_t kNudge[1024] = {};

}  // namespace

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
  reports_.push_back(report);
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
  window_.Append({kNudge, sizeof(kNudge), nullptr});
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

}  // namespace tarspout
