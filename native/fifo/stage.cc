#include "fifo/stage.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "fifo/fifo.h"

namespace tarspout::fifo {
namespace {

constexpr int64_t kCapacity = 1 << 20;

}  // namespace

int64_t Stage::BytesAt(int64_t position) {
  if (bytes_ > 0 && begin_ != position) Drop();
  return bytes_;
}

int64_t Stage::Fill(int64_t position, const iovec* pieces, int count) {
  if (is_refused_ || (!write_end_.IsOpen() && !Open())) return 0;
  const int64_t copied = Write(write_end_, pieces, count);
  if (copied == -EAGAIN) return 0;
  if (copied < 0) return copied;
  if (bytes_ == 0) begin_ = position;
  bytes_ += copied;
  return copied;
}

int64_t Stage::MoveTo(const Fd& write_end, int64_t most) {
  const auto wanted = static_cast<size_t>(most < bytes_ ? most : bytes_);
  ssize_t moved;
  do {
    moved = ::splice(read_end_.get(), nullptr, write_end.get(), nullptr, wanted, SPLICE_F_NONBLOCK);
  } while (moved < 0 && errno == EINTR);
  if (moved < 0 && (errno == EAGAIN || errno == EPIPE)) return -errno;
  if (moved <= 0) {
    Close();
    is_refused_ = true;
    return 0;
  }
  begin_ += moved;
  bytes_ -= moved;
  return moved;
}

void Stage::Drop() {
  if (bytes_ > 0) Close();
}

void Stage::Close() {
  read_end_.Close();
  write_end_.Close();
  bytes_ = 0;
}

bool Stage::Open() {
  int ends[2];
  is_refused_ = ::pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0;
  if (is_refused_) return false;
  read_end_ = Fd(ends[0]);
  write_end_ = Fd(ends[1]);
  SetCapacity(write_end_, kCapacity);
  // Where a user has many pipes, new ones are of one page or two (pipe(7)): not worth the detour.
  is_refused_ = Capacity(write_end_) < kCapacity;
  if (is_refused_) Close();
  return !is_refused_;
}

}  // namespace tarspout::fifo
