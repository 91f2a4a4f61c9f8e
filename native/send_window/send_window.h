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
#include <memory>
#include <vector>

namespace tarspout {

// Bytes that go out as they lie. The owner keeps them alive; dropping the last owner gives the
// memory back.
struct Segment {
  const uint8_t* data = nullptr;
  size_t size = 0;
  std::shared_ptr<const void> owner;
};

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

  // The pieces to write next, from nxt up to `limit`, at most `max_pieces` of them and `max_bytes`
  // in all.
  void Gather(int64_t limit, size_t max_pieces, int64_t max_bytes, std::vector<Piece>* pieces);
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

  int64_t base_ = 0;
  int64_t nxt_ = 0;
  int64_t end_ = 0;
  size_t cursor_ = 0;  // index of the segment that holds nxt_, or segments_.size()
  std::deque<Kept> segments_;
  std::deque<Archive> archives_;
};

}  // namespace tarspout
