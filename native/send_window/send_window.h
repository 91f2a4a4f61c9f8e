// The send window: what is queued, in the pipe, or read but not yet confirmed, as one growing byte
// sequence.
//
//         una = base            consumed              nxt                 end
//          |------ retained ------|---- in the pipe ----|---- queued ------|
//    first byte of the oldest    nxt - unread        next byte to write   last byte queued
//    undelivered archive
//
// Pure: no system calls, no clock, no locks. The engine thread owns it. Sending again is a move of
// nxt back to una. `base` is where the kept bytes begin; it passes una only when the oldest
// archive's own beginning was released for lack of room, and then that archive cannot be sent
// again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace tarspout {

// Bytes that go out as they lie, or packed ones. The owner keeps them alive; dropping the last
// owner gives the memory back.
struct Segment {
  const uint8_t* data = nullptr;
  size_t size = 0;  // bytes to be written
  std::shared_ptr<const void> owner;
  size_t packed_size = 0;  // bytes at `data`, if they are packed

  bool IsPacked() const { return packed_size > 0; }
  size_t MemorySize() const { return IsPacked() ? packed_size : size; }
};

// Makes bytes to be written of packed ones, the same each time: some from `*at` on, which is 0 at
// first and moved behind them. Valid until the next call.
using Unpack = std::function<std::span<const uint8_t>(std::span<const uint8_t> packed, size_t* at)>;

// One stretch of memory to write next.
struct Piece {
  const uint8_t* data;
  size_t size;
};

struct Archive {
  static constexpr int64_t kOpen = -1;

  uint64_t number =
      0;  // as the caller counts; 0 for a nudge: two zero blocks that belong to no archive
  int64_t start = 0;
  int64_t end = kOpen;
  uint32_t attempts = 0;    // how often its first byte was queued for writing
  int64_t finished_ns = 0;  // when it was finished; 0 while open

  bool IsOpen() const { return end == kOpen; }
  bool IsNudge() const { return number == 0; }
};

class SendWindow {
 public:
  // Without `unpack` no segment may be packed.
  explicit SendWindow(Unpack unpack = nullptr) : unpack_(std::move(unpack)) {}

  int64_t base() const { return base_; }
  int64_t una() const { return archives_.empty() ? end_ : archives_.front().start; }
  int64_t nxt() const { return nxt_; }
  int64_t end() const { return end_; }
  int64_t RetainedBytes() const { return end_ - base_; }

  bool IsEmpty() const { return archives_.empty(); }
  size_t ArchiveCount() const { return archives_.size(); }
  Archive& Head() { return archives_.front(); }
  Archive& At(size_t index) { return archives_[index]; }
  const Archive& Tail() const { return archives_.back(); }
  bool HasOpen() const { return !archives_.empty() && archives_.back().IsOpen(); }
  // Where an archive ends, or how far it has come while it is open.
  int64_t EndOf(const Archive& archive) const { return archive.IsOpen() ? end_ : archive.end; }
  // Up to here everything queued belongs to finished archives.
  int64_t FinishedEnd() const { return HasOpen() ? archives_.back().start : end_; }

  // Begins an archive. No archive may be open.
  void Begin(uint64_t number);
  // Adds to the open archive.
  void Append(Segment segment);
  // Finishes the open archive.
  void Finish(int64_t now_ns);
  // Forgets the open archive, of which nothing may have been written. Returns the bytes dropped.
  int64_t DropOpen();

  // The pieces to write next, from `from` (nxt or later) up to `limit`, at most `max_pieces` of
  // them and `max_bytes` in all. Valid until the next call. True: some of it was unpacked, by the
  // last call of Unpack.
  bool Gather(int64_t from, int64_t limit, size_t max_pieces, int64_t max_bytes,
              std::vector<Piece>* pieces);
  // `bytes` were written.
  void Advance(int64_t bytes);
  // Everything unconfirmed is to be sent again. Only if CanRewind(). Returns the bytes that are
  // queued once more.
  int64_t Rewind();
  bool CanRewind() const { return base_ == una(); }

  // The head archive is done with (delivered, or given up): its bytes are released and, if some of
  // them were not yet written, skipped.
  void PopHead();
  // Releases kept bytes before `position` (at most nxt) although their archive is undelivered.
  void ReleaseTo(int64_t position);

  // Moves the kept segments that lie in [from, to) elsewhere: move(segment) may change where a
  // segment's bytes are, not what they are; false ends it. Returns how far it came.
  template <typename Move>
  int64_t MoveSegments(int64_t from, int64_t to, Move move) {
    for (size_t i = IndexAt(from); i < segments_.size(); ++i) {
      Kept& kept = segments_[i];
      const int64_t stop = kept.start + static_cast<int64_t>(kept.segment.size);
      if (stop > to || (kept.start >= from && !move(&kept.segment))) break;
      from = stop;
    }
    return from;
  }

 private:
  struct Kept {
    int64_t start;
    Segment segment;
  };

  size_t IndexAt(int64_t position) const;
  Piece UnpackedAt(const Kept& kept, int64_t position);

  int64_t base_ = 0;
  int64_t nxt_ = 0;
  int64_t end_ = 0;
  size_t cursor_ = 0;  // index of the segment that holds nxt_, or segments_.size()
  std::deque<Kept> segments_;
  std::deque<Archive> archives_;

  const Unpack unpack_;
  std::span<const uint8_t> unpacked_;  // of the packed segment that begins at unpacked_start_
  int64_t unpacked_start_ = -1;
  size_t unpacked_at_ = 0;    // in its packed bytes: up to here
  int64_t unpacked_end_ = 0;  // where unpacked_ ends
};

}  // namespace tarspout
