#include "send_window/reader_trail.h"

namespace tarspout {

void ReaderTrail::Opened(int64_t until_ns) {
  quiet_ = false;
  if (!first_read_) return;
  switch (path_) {
    case Path::kNone:
      path_ = Path::kOpen;
      break;
    case Path::kOpen:
      break;
    case Path::kClose:
      path_ = until_ns - closed_ns_ <= kReopenNs ? Path::kCloseOpen : Path::kOther;
      break;
    default:
      path_ = Path::kOther;
  }
}

void ReaderTrail::Closed(int64_t since_ns) {
  quiet_ = false;
  if (!first_read_) return;
  switch (path_) {
    case Path::kNone:
      path_ = Path::kClose;
      closed_ns_ = since_ns;
      break;
    case Path::kOpen:
      path_ = Path::kOpenClose;
      break;
    default:
      path_ = Path::kOther;
  }
}

void ReaderTrail::Read() {
  if (is_read_) {
    if (IsFinish()) {
      passed_ = true;
    } else if (IsTouched()) {
      doubtful_ = true;
    } else {
      may_have_passed_ = true;
    }
    return;
  }
  if (IsTouched()) doubtful_ = true;
  first_read_ = true;
}

void ReaderTrail::Overflowed() {
  quiet_ = false;
  overflowed_ = true;
  if (first_read_) doubtful_ = true;
}

void ReaderTrail::Sampled(bool some_read, bool some_unread) {
  if (some_read) first_read_ = true;
  if (some_read && overflowed_) doubtful_ = true;
  if (IsTouched() && some_unread) doubtful_ = true;
}

bool ReaderTrail::IsFinishedByReadingOn() const {
  return !doubtful_ && (passed_ || path_ == Path::kNone || IsFinish());
}

}  // namespace tarspout
