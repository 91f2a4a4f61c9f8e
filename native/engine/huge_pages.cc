#include "engine/huge_pages.h"

#include <sys/mman.h>

#include <cstdlib>

namespace tarspout {

uint8_t* MapHuge(size_t bytes) {
  void* room = ::mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) std::abort();  // what `new` does without exceptions
  auto* begin = static_cast<uint8_t*>(room);
  const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(begin) % kHugePage) % kHugePage;
  if (before > 0) ::munmap(begin, before);
  uint8_t* memory = begin + before;
  if (before < kHugePage) ::munmap(memory + bytes, kHugePage - before);
  ::madvise(memory, bytes, MADV_HUGEPAGE);  // where there are none, small pages do
  return memory;
}

void UnmapHuge(void* memory, size_t bytes) { ::munmap(memory, bytes); }

}  // namespace tarspout
