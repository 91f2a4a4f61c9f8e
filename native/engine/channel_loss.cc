// Channel: the reader leaves, the path leads elsewhere, an archive is given up.
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "engine/channel.h"
#include "engine/rules.h"

namespace tarspout {
namespace {

int64_t PauseBeforeAttempt(uint32_t attempt) {
  return attempt <= 2 ? 0 : std::min(kMostAgainNs, kMs << std::min(attempt - 3, 10u));
}

}  // namespace

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
  is_discarding_ = is_discarding_ || backlog_.HasOpen();
  for (const uint64_t number : backlog_.Clear()) {
    Tell({.kind = Report::Kind::kFailed, .failure = failure, .number = number, .error = error});
  }
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
        !window_.IsEmpty() || !backlog_.IsEmpty() || is_open_wanted_ || write_end_.IsOpen();
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

}  // namespace tarspout
