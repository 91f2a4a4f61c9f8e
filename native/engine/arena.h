// The outgoing memory: chunks that headers and small bodies are encoded into, reused once nothing
// refers to them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/huge_pages.h"

namespace tarspout {

struct Block;

// Page aligned, so that its pages can be mapped into a pipe.
struct Chunk {
  static constexpr size_t kSize = 256 << 10;

  uint8_t* data;
  Block* block;
};

// A chunk from the process's pool, or a new one. Goes back to the pool with its last owner, on any
// thread. The one given back last comes first: it is still in the processor's caches.
std::shared_ptr<Chunk> TakeChunk();

// The memory of a path set: its list in chunks of the pool, tables from huge pages.
struct PoolMemory {
  template <typename T>
  using Allocator = HugePages<T>;
  static constexpr size_t kBlockSize = Chunk::kSize;
  static std::shared_ptr<Chunk> TakeBlock() { return TakeChunk(); }
  static uint8_t* DataOf(const std::shared_ptr<Chunk>& chunk) { return chunk->data; }
};

}  // namespace tarspout
