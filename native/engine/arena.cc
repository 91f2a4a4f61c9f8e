#include "engine/arena.h"

#include <sys/mman.h>

#include <cstdlib>
#include <mutex>
#include <vector>

namespace tarspout {

// A huge page of memory, cut into chunks: touching new memory page by page would cost more than
// what is written into it.
struct Block {
  static constexpr size_t kSize = 2 << 20;
  static constexpr size_t kChunks = kSize / Chunk::kSize;

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

// Aligned to its size, which a huge page needs.
uint8_t* MapBlock() {
  constexpr size_t kRoom = 2 * Block::kSize;
  void* room = ::mmap(nullptr, kRoom, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) std::abort();  // what `new` does without exceptions
  auto* begin = static_cast<uint8_t*>(room);
  const size_t before =
      (Block::kSize - reinterpret_cast<uintptr_t>(begin) % Block::kSize) % Block::kSize;
  if (before > 0) ::munmap(begin, before);
  uint8_t* data = begin + before;
  ::munmap(data + Block::kSize, kRoom - Block::kSize - before);
  ::madvise(data, Block::kSize, MADV_HUGEPAGE);  // where there are none, small pages do
  return data;
}

void AddBlock(Pool& pool) {
  auto* block = new Block{.data = MapBlock(), .chunks = {}};
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
  ::munmap(block->data, Block::kSize);
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
