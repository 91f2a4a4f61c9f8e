// What is kept beyond retainBytes, in a temporary file that has no name: it goes with the process.
#pragma once

#include <cstdint>
#include <memory>

#include "fifo/fd.h"
#include "send_window/send_window.h"

namespace tarspout {

// Engine thread only.
class Spill {
 public:
  // Moves a segment's bytes into the file: its data is mapped from there, its memory is given back.
  // False: there is no file, or no room in it; the segment is as it was.
  bool Take(Segment* segment);

 private:
  struct File {
    fifo::Fd fd;
    int64_t size = 0;
    int64_t mapped = 0;  // segments that lie in it
  };

  bool Open();

  std::shared_ptr<File> file_;
};

}  // namespace tarspout
