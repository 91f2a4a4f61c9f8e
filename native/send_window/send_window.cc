#include "send_window/send_window.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace tarspout {

void SendWindow::Begin(uint64_t number) {
  assert(!HasOpen());
  archives_.push_back({.number = number, .start = end_, .attempts = 1});
}

void SendWindow::Append(Segment segment) {
  assert(HasOpen());
  if (segment.size == 0) return;
  const auto size = static_cast<int64_t>(segment.size);
  if (!segments_.empty()) {
    // What lies behind the last segment in the same memory becomes part of it, so small entries
    // cost no segment each.
    Segment& last = segments_.back().segment;
    if (last.owner == segment.owner && !last.IsPacked() && !segment.IsPacked() &&
        last.data + last.size == segment.data) {
      if (cursor_ == segments_.size()) --cursor_;  // nxt_ stood behind it: now it stands inside
      last.size += segment.size;
      end_ += size;
      return;
    }
  }
  segments_.push_back({end_, std::move(segment)});
  end_ += size;
}

void SendWindow::Finish(int64_t now_ns) {
  assert(HasOpen());
  archives_.back().end = end_;
  archives_.back().finished_ns = now_ns;
}

int64_t SendWindow::DropOpen() {
  assert(HasOpen() && nxt_ <= archives_.back().start);
  const int64_t start = archives_.back().start;
  const int64_t dropped = end_ - start;
  while (!segments_.empty() && segments_.back().start >= start) segments_.pop_back();
  if (!segments_.empty()) {
    Kept& last = segments_.back();
    last.segment.size = std::min(last.segment.size, static_cast<size_t>(start - last.start));
  }
  archives_.pop_back();
  unpacked_start_ = -1;
  end_ = start;
  cursor_ = IndexAt(nxt_);
  return dropped;
}

bool SendWindow::Gather(int64_t from, int64_t limit, size_t max_pieces, int64_t max_bytes,
                        std::vector<Piece>* pieces) {
  assert(from >= nxt_);
  pieces->clear();
  int64_t position = from;
  const int64_t stop = std::min({limit, end_, from + max_bytes});
  bool has_unpacked = false;
  for (size_t i = from == nxt_ ? cursor_ : IndexAt(from);
       position < stop && pieces->size() < max_pieces; ++i) {
    const Kept& kept = segments_[i];
    const auto offset = static_cast<size_t>(position - kept.start);
    Piece piece{kept.segment.data + offset, kept.segment.size - offset};
    if (kept.segment.IsPacked()) {
      if (std::exchange(has_unpacked, true)) return true;
      piece = UnpackedAt(kept, position);
    }
    piece.size = std::min(piece.size, static_cast<size_t>(stop - position));
    pieces->push_back(piece);
    position += static_cast<int64_t>(piece.size);
    if (position < kept.start + static_cast<int64_t>(kept.segment.size)) break;
  }
  return has_unpacked;
}

// Where writing goes on, mostly: what was unpacked last, or what comes next.
Piece SendWindow::UnpackedAt(const Kept& kept, int64_t position) {
  const int64_t begin = unpacked_end_ - static_cast<int64_t>(unpacked_.size());
  if (unpacked_start_ != kept.start || position < begin) {
    unpacked_start_ = unpacked_end_ = kept.start;
    unpacked_at_ = 0;
  }
  while (unpacked_end_ <= position) {
    unpacked_ = unpack_({kept.segment.data, kept.segment.packed_size}, &unpacked_at_);
    assert(!unpacked_.empty());
    unpacked_end_ += static_cast<int64_t>(unpacked_.size());
  }
  const auto left = static_cast<size_t>(unpacked_end_ - position);
  return {unpacked_.data() + unpacked_.size() - left, left};
}

void SendWindow::Advance(int64_t bytes) {
  assert(bytes >= 0 && nxt_ + bytes <= end_);
  nxt_ += bytes;
  while (cursor_ < segments_.size() &&
         segments_[cursor_].start + static_cast<int64_t>(segments_[cursor_].segment.size) <= nxt_) {
    ++cursor_;
  }
}

int64_t SendWindow::Rewind() {
  assert(CanRewind());
  const int64_t again = nxt_ - una();
  for (Archive& archive : archives_) {
    if (archive.start < nxt_) ++archive.attempts;
  }
  nxt_ = una();
  cursor_ = IndexAt(nxt_);
  return again;
}

void SendWindow::PopHead() {
  assert(!archives_.empty() && !archives_.front().IsOpen());
  const int64_t end = archives_.front().end;
  archives_.pop_front();
  if (nxt_ < end) {
    nxt_ = end;
    cursor_ = IndexAt(nxt_);
  }
  ReleaseTo(end);
}

void SendWindow::ReleaseTo(int64_t position) {
  assert(position <= nxt_);
  if (position <= base_) return;
  base_ = position;
  while (!segments_.empty() &&
         segments_.front().start + static_cast<int64_t>(segments_.front().segment.size) <= base_) {
    assert(cursor_ > 0);
    segments_.pop_front();
    --cursor_;
  }
}

size_t SendWindow::IndexAt(int64_t position) const {
  const auto found = std::upper_bound(segments_.begin(), segments_.end(), position,
                                      [](int64_t at, const Kept& kept) { return at < kept.start; });
  if (found == segments_.begin()) return 0;
  const Kept& before = *(found - 1);
  const bool inside = position < before.start + static_cast<int64_t>(before.segment.size);
  return static_cast<size_t>(found - segments_.begin()) - (inside ? 1 : 0);
}

}  // namespace tarspout
