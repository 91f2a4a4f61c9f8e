// A pipe of our own before the FIFO. Whoever copies into a pipe holds its lock, and so does whoever
// copies out of it: into the FIFO itself, writer and reader take turns. Into this one, where nobody
// reads, bytes are copied (or mapped) while the reader copies others out of the FIFO; then their
// pages are moved there (splice(2)), which takes its lock for a moment.
#pragma once

#include <sys/uio.h>

#include <cstdint>

#include "fifo/fd.h"

namespace tarspout::fifo {

class Stage {
 public:
  // How many bytes it holds, the first of which is the one at `position` of the stream. What it
  // holds of elsewhere is dropped: the stream goes on at another place.
  int64_t BytesAt(int64_t position);

  // Copies bytes that come behind those it holds, or maps them; into an empty one, those from
  // `position` on. Bytes taken, or -errno. 0: there is no room, or the system grants no such pipe.
  int64_t Copy(int64_t position, const iovec* pieces, int count);
  int64_t Map(int64_t position, const iovec* pieces, int count);

  // Moves up to `most` of the bytes it holds into the FIFO. Bytes moved, or -errno. 0: the system
  // cannot; nothing is held any more, and nothing is taken from now on.
  int64_t MoveTo(const Fd& write_end, int64_t most);

  // Whether the system grants no such pipe, or cannot move its pages.
  bool IsRefused() const { return is_refused_; }

  void Drop();   // what it holds
  void Close();  // and gives its descriptors back

 private:
  bool IsUsable();
  bool Open();
  int64_t Took(int64_t position, int64_t bytes);

  Fd read_end_;
  Fd write_end_;
  int64_t begin_ = 0;  // position of the first byte held
  int64_t bytes_ = 0;
  bool is_refused_ = false;
};

}  // namespace tarspout::fifo
