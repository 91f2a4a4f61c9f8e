#include "engine/arena.h"

#include <mutex>
#include <vector>

#include "engine/huge_pages.h"

namespace tarspout {

// A huge page, cut into chunks.
struct Block {
  static constexpr size_t kChunks = kHugePage / Chunk::kSize;

  uint8_t* data;
  Chunk chunks[kChunks];
  size_t free = kChunks;
};

namespace {

constexpr size_t kPooledChunks = 256;  // 64 MiB, what one archive keeps by default

struct Pool {
  std::mutex mutex;
  std::vector<Chunk*> free;
};

// Leaked, as the engine is: its thread may hand back chunks while the process exits.
Pool& ThePool() {
  static Pool& pool = *new Pool();
  return pool;
}

void AddBlock(Pool& pool) {
  auto* block = new Block{.data = MapHuge(kHugePage), .chunks = {}};
  for (size_t i = Block::kChunks; i-- > 0;) {
    block->chunks[i] = {block->data + i * Chunk::kSize, block};
    pool.free.push_back(&block->chunks[i]);
  }
}

void GiveBack(Chunk* chunk) {
  Pool& pool = ThePool();
  const std::lock_guard lock(pool.mutex);
  pool.free.push_back(chunk);
  Block* block = chunk->block;
  if (++block->free < Block::kChunks || pool.free.size() <= kPooledChunks) return;
  std::erase_if(pool.free, [block](const Chunk* other) { return other->block == block; });
  UnmapHuge(block->data, kHugePage);
  delete block;
}

}  // namespace

std::shared_ptr<Chunk> TakeChunk() {
  Pool& pool = ThePool();
  Chunk* chunk;
  {
    const std::lock_guard lock(pool.mutex);
    if (pool.free.empty()) AddBlock(pool);
    chunk = pool.free.back();
    pool.free.pop_back();
    --chunk->block->free;
  }
  return {chunk, GiveBack};
}

}  // namespace tarspout
