// What the readers were seen to do while one archive is on its way, and what follows from it. Pure.
//
// The archive at the head of the window goes through
//
//   unread --first read--> being read --all consumed, settled--> read --read past it--> committed
//
// A reader that opens or closes the FIFO before the first read is nothing: it is what readers do
// between archives. One that does so after the first read has *touched* the archive: if reading
// then goes on, or bytes were left unread, two readers may have shared it, and the archive is in
// doubt. If nothing more is read (a 1.9 reader closes after its archive, 1.11.0-2 open and close
// once more), it is whole.
//
// For `confirm: 'committed'` the reader must read past the archive, and what it did in between must
// be one of the ways in which a living reader finishes (docs/pachyderm.md, section 1):
//   nothing       1.11.3 and later: commits, then reads on
//   open, close   1.11.0-2: waits for a writer by a second open, commits, then reads on
//   close, open   1.9 and 1.10: commits, closes, opens again at once. A reader that died looks the
//   same but for the
//                 time its successor needs to start, so the open must follow within kReopen.
#pragma once

#include <cstdint>

namespace tarspout {

class ReaderTrail {
 public:
  // A reader process that died and was started again is not back this soon; one that loops is.
  static constexpr int64_t kReopenNs = 2'000'000;

  // A new archive comes to the head. `being_read`: its first bytes were already taken, by a reader
  // just found fit.
  void Reset(bool being_read, bool quiet = true) {
    *this = ReaderTrail();
    first_read_ = being_read;
    quiet_ = quiet;
  }

  // At the latest, and at the earliest, then.
  void Opened(int64_t until_ns);
  void Closed(int64_t since_ns);
  void Read();
  // The watch's queue overflowed: anything may have happened.
  void Overflowed();

  // What FIONREAD showed: taken before the queue was drained, told after. `some_read`: bytes of
  // this archive were consumed; `some_unread`: bytes of it are in the pipe or not yet written.
  void Sampled(bool some_read, bool some_unread);

  // Everything was consumed and no read came after a touch for long enough: from here reads are
  // reads past it.
  void MarkRead() { is_read_ = true; }

  // No read of the archive was seen.
  bool IsUnread() const { return !first_read_; }
  // Nothing was seen that could matter.
  bool IsUntouched() const { return !first_read_ || (quiet_ && !doubtful_); }
  bool IsTouched() const { return path_ != Path::kNone; }
  // As 1.11.0-2 does.
  bool HasAskedForWriter() const { return path_ == Path::kOpen || path_ == Path::kOpenClose; }
  bool IsRead() const { return is_read_; }
  bool IsDoubtful() const { return doubtful_; }
  // Nothing at all was seen of readers but reads.
  bool IsQuiet() const { return quiet_; }
  // The archive was read, a living reader's way of finishing was seen, and then a read: what
  // follows in the queue belongs to the next archive's trail.
  bool HasPassed() const { return passed_; }
  // So it is, or a read came that may be the archive's own last one, reported late: what follows
  // belongs to either.
  bool MayHavePassed() const { return passed_ || may_have_passed_; }
  // Whether bytes past the archive having been consumed proves that it was committed.
  bool IsFinishedByReadingOn() const;

 private:
  // Opens and closes since the archive's last read, as far as they matter.
  enum class Path : uint8_t { kNone, kOpen, kOpenClose, kClose, kCloseOpen, kOther };

  bool IsFinish() const { return path_ == Path::kOpenClose || path_ == Path::kCloseOpen; }

  bool first_read_ = false;
  bool is_read_ = false;
  bool doubtful_ = false;
  bool passed_ = false;
  bool may_have_passed_ = false;
  bool overflowed_ = false;
  bool quiet_ = true;
  Path path_ = Path::kNone;
  int64_t closed_ns_ = 0;
};

}  // namespace tarspout
