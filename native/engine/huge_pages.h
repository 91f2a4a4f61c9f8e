// Large memory from huge pages where there are any: touching it page by page costs more than what
// is written into it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tarspout {

inline constexpr size_t kHugePage = 2 << 20;

// `bytes`, a multiple of kHugePage and aligned to it, zeroed. Ends the process when there are none.
uint8_t* MapHuge(size_t bytes);
void UnmapHuge(void* memory, size_t bytes);

// For containers that grow large; small ones stay on the heap.
template <typename T>
struct HugePages {
  using value_type = T;

  HugePages() = default;
  template <typename U>
  HugePages(const HugePages<U>&) {}

  T* allocate(size_t count) {
    const size_t bytes = count * sizeof(T);
    if (bytes < kHugePage) return static_cast<T*>(::operator new(bytes));
    return reinterpret_cast<T*>(MapHuge(RoundUp(bytes)));
  }
  void deallocate(T* memory, size_t count) {
    const size_t bytes = count * sizeof(T);
    if (bytes < kHugePage) return ::operator delete(memory);
    UnmapHuge(memory, RoundUp(bytes));
  }
  bool operator==(const HugePages&) const = default;

 private:
  static size_t RoundUp(size_t bytes) { return (bytes + kHugePage - 1) / kHugePage * kHugePage; }
};

}  // namespace tarspout
