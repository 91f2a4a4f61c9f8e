#include "engine/spill.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace tarspout {
namespace {

constexpr size_t kPageSize = 4096;

bool WriteAll(int fd, const uint8_t* data, size_t size, int64_t offset) {
  while (size > 0) {
    const ssize_t written = ::pwrite(fd, data, size, offset);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    data += written;
    size -= static_cast<size_t>(written);
    offset += written;
  }
  return true;
}

}  // namespace

bool Spill::Open() {
  if (file_) return file_->fd.IsOpen();
  file_ = std::make_shared<File>();
  const char* folder = ::getenv("TMPDIR");
  if (folder == nullptr || *folder == '\0') folder = "/tmp";
  file_->fd = fifo::Fd(::open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  return file_->fd.IsOpen();
}

bool Spill::Take(Segment* segment) {
  if (!Open()) return false;
  if (file_->mapped == 0 && file_->size > 0 && ::ftruncate(file_->fd.get(), 0) == 0)
    file_->size = 0;
  const int64_t offset = file_->size;
  const size_t size = segment->MemorySize();
  if (!WriteAll(file_->fd.get(), segment->data, size, offset)) return false;
  void* memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file_->fd.get(), offset);
  if (memory == MAP_FAILED) return false;
  // Mappings begin at pages.
  file_->size += static_cast<int64_t>((size + kPageSize - 1) / kPageSize * kPageSize);
  ++file_->mapped;
  segment->data = static_cast<const uint8_t*>(memory);
  segment->owner = std::shared_ptr<const void>(memory, [file = file_, size](const void* at) {
    ::munmap(const_cast<void*>(at), size);
    --file->mapped;
  });
  return true;
}

}  // namespace tarspout
