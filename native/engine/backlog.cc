#include "engine/backlog.h"

#include <utility>

namespace tarspout {

void Backlog::Push(Item item) {
  const auto size = static_cast<int64_t>(item.segment.size);
  bytes_ += size;
  open_bytes_ += size;
  if (item.then == Item::Then::kFinish) {
    ++finished_;
    open_bytes_ = 0;
  }
  items_.push_back(std::move(item));
}

void Backlog::DropOpen() {
  while (HasOpen()) items_.pop_back();
  bytes_ -= std::exchange(open_bytes_, 0);
}

std::vector<uint64_t> Backlog::Clear() {
  const Backlog dropped = std::exchange(*this, Backlog());
  std::vector<uint64_t> numbers;
  for (const Item& item : dropped.items_) {
    if (numbers.empty() || numbers.back() != item.number) numbers.push_back(item.number);
  }
  return numbers;
}

}  // namespace tarspout
