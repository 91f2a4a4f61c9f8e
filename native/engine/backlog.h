// Items of archives that may not go into the send window yet: finished ones, and behind them
// perhaps the beginning of one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "engine/messages.h"

namespace tarspout {

class Backlog {
 public:
  bool IsEmpty() const { return items_.empty(); }
  int64_t Bytes() const { return bytes_; }
  // Archives whose end is here, and bytes of the one whose end is not.
  size_t Finished() const { return finished_; }
  int64_t OpenBytes() const { return open_bytes_; }
  bool HasOpen() const { return !items_.empty() && items_.back().then == Item::Then::kMore; }

  // None that aborts.
  void Push(Item item);
  // Forgets the open archive.
  void DropOpen();
  // Gives take(Item*) the items of the oldest archive: up to its end or, where that has not come
  // yet, all there are.
  template <typename Take>
  void TakeArchive(Take take) {
    bool ended = false;
    while (!ended && !items_.empty()) {
      Item item = std::move(items_.front());
      items_.pop_front();
      bytes_ -= static_cast<int64_t>(item.segment.size);
      ended = item.then == Item::Then::kFinish;
      take(&item);
    }
    if (ended) {
      --finished_;
    } else {
      open_bytes_ = 0;
    }
  }
  // Forgets everything. The numbers of the archives, in order.
  std::vector<uint64_t> Clear();

 private:
  std::deque<Item> items_;
  int64_t bytes_ = 0;
  size_t finished_ = 0;
  int64_t open_bytes_ = 0;
};

}  // namespace tarspout
