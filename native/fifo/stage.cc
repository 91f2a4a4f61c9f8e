#include "fifo/stage.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
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

int64_t Stage::Copy(int64_t position, const iovec* pieces, int count) {
  return IsUsable() ? Took(position, Write(write_end_, pieces, count)) : 0;
}

int64_t Stage::Map(int64_t position, const iovec* pieces, int count) {
  return IsUsable() ? Took(position, MapIn(write_end_, pieces, count)) : 0;
}

int64_t Stage::Took(int64_t position, int64_t bytes) {
  if (bytes == -EAGAIN) return 0;
  if (bytes < 0) return bytes;
  if (bytes_ == 0) begin_ = position;
  bytes_ += bytes;
  return bytes;
}

int64_t Stage::MoveTo(const Fd& write_end, int64_t most) {
  const int64_t moved = Move(read_end_, write_end, std::min(most, bytes_));
  if (moved == -EAGAIN || moved == -EPIPE) return moved;
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

bool Stage::IsUsable() { return !is_refused_ && (write_end_.IsOpen() || Open()); }

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
