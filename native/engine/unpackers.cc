#include "engine/unpackers.h"

namespace tarspout {

std::span<const uint8_t> Unpackers::Next(std::span<const uint8_t> packed, size_t* at) {
  current_ = bytes_read_ ? Free() : nullptr;
  if (current_ != nullptr) return current_->unpack(packed, at);
  if (!copied_) copied_ = make_();
  return copied_(packed, at);
}

void Unpackers::Abandon() {
  static std::vector<std::unique_ptr<Memory>>& kept = *new std::vector<std::unique_ptr<Memory>>();
  for (std::unique_ptr<Memory>& memory : memories_) kept.push_back(std::move(memory));
  memories_.clear();
}

void Unpackers::LetGo() {
  current_ = nullptr;
  copied_ = nullptr;
  memories_.clear();
}

// The one used last, which is still in the processor's caches. Null: all are in the pipe.
Unpackers::Memory* Unpackers::Free() {
  const auto warmest = [this] {
    Memory* found = nullptr;
    for (const std::unique_ptr<Memory>& memory : memories_) {
      const bool is_free = memory->busy_until <= read_;
      if (is_free && (found == nullptr || memory->busy_until > found->busy_until))
        found = memory.get();
    }
    return found;
  };
  Memory* found = warmest();
  if (found == nullptr && memories_.size() >= kEnough) {
    read_ = bytes_read_();
    found = warmest();
  }
  if (found != nullptr || memories_.size() == kMost) return found;
  memories_.push_back(std::make_unique<Memory>(make_()));
  return memories_.back().get();
}

}  // namespace tarspout
