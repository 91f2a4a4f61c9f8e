#include "engine/arena.h"

#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

namespace tarspout {
namespace {

constexpr size_t kPageSize = 4096;
constexpr size_t kPooledChunks =
    256;  // 64 MiB, what one archive keeps: new memory costs page faults

struct Pool {
  std::mutex mutex;
  std::vector<std::unique_ptr<Chunk>> chunks;
};

// Leaked, as the engine is: its thread may hand back chunks while the process exits.
Pool& ThePool() {
  static Pool& pool = *new Pool();
  return pool;
}

void GiveBack(Chunk* chunk) {
  std::unique_ptr<Chunk> owned(chunk);
  Pool& pool = ThePool();
  const std::lock_guard lock(pool.mutex);
  if (pool.chunks.size() < kPooledChunks) pool.chunks.push_back(std::move(owned));
}

}  // namespace

Chunk::Chunk() : data(static_cast<uint8_t*>(std::aligned_alloc(kPageSize, kSize))) {
  if (data == nullptr) std::abort();  // what `new` does without exceptions
}

Chunk::~Chunk() { std::free(data); }

std::shared_ptr<Chunk> TakeChunk() {
  Pool& pool = ThePool();
  std::unique_ptr<Chunk> chunk;
  {
    const std::lock_guard lock(pool.mutex);
    if (!pool.chunks.empty()) {
      chunk = std::move(pool.chunks.back());
      pool.chunks.pop_back();
    }
  }
  if (!chunk) chunk = std::make_unique<Chunk>();
  return {chunk.release(), GiveBack};
}

}  // namespace tarspout
