#include "engine/arena.h"

#include <array>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "engine/huge_pages.h"
#include "engine/thread.h"

namespace tarspout {

// A huge page, cut into chunks.
struct Block {
  static constexpr size_t kChunks = kHugePage / Chunk::kSize;

  uint8_t* data;
  Chunk chunks[kChunks];
  size_t free = kChunks;
};

namespace {

constexpr size_t kPage = 4096;
constexpr size_t kSpareChunks = 8;     // with no more than these another block is wanted
constexpr size_t kPooledChunks = 256;  // 64 MiB, what one archive keeps by default

Block* NewBlock() { return new Block{.data = MapHuge(kHugePage), .chunks = {}}; }

// Grows ahead of those who take, so that JavaScript's thread need not wait for pages.
class Pool {
 public:
  Pool() {
    StartThread("tarspout-memory", [this] { Grow(); });
  }

  Chunk* Take();
  void GiveBack(Chunk* chunk);

 private:
  void Add(Block* block);
  void Grow();  // a thread of its own

  std::mutex mutex_;
  std::condition_variable wants_block_;
  bool is_growing_ = false;
  std::vector<Chunk*> free_;
};

// Leaked, as the engine is: both threads may use it while the process exits.
Pool& ThePool() {
  static Pool& pool = *new Pool();
  return pool;
}

// To be taken last: what was used before is in the caches.
void Pool::Add(Block* block) {
  std::array<Chunk*, Block::kChunks> chunks;
  for (size_t i = 0; i < Block::kChunks; ++i) {
    block->chunks[i] = {block->data + i * Chunk::kSize, block};
    chunks[i] = &block->chunks[i];
  }
  free_.insert(free_.begin(), chunks.begin(), chunks.end());
}

void Pool::Grow() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wants_block_.wait(lock, [this] { return is_growing_; });
    lock.unlock();
    Block* block = NewBlock();
    // Touched, so that the kernel finds and clears the pages now, which can take milliseconds.
    for (size_t at = 0; at < kHugePage; at += kPage) block->data[at] = 0;
    lock.lock();
    Add(block);
    is_growing_ = false;
  }
}

Chunk* Pool::Take() {
  const std::lock_guard lock(mutex_);
  if (free_.empty()) {
    Add(NewBlock());
  } else if (free_.size() <= kSpareChunks && !is_growing_) {
    is_growing_ = true;
    wants_block_.notify_one();
  }
  Chunk* chunk = free_.back();
  free_.pop_back();
  --chunk->block->free;
  return chunk;
}

void Pool::GiveBack(Chunk* chunk) {
  const std::lock_guard lock(mutex_);
  free_.push_back(chunk);
  Block* block = chunk->block;
  if (++block->free < Block::kChunks || free_.size() <= kPooledChunks) return;
  std::erase_if(free_, [block](const Chunk* other) { return other->block == block; });
  UnmapHuge(block->data, kHugePage);
  delete block;
}

}  // namespace

std::shared_ptr<Chunk> TakeChunk() {
  return {ThePool().Take(), [](Chunk* chunk) { ThePool().GiveBack(chunk); }};
}

}  // namespace tarspout
