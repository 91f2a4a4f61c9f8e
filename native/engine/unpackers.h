// What makes bytes of a channel's packed segments. Those that are copied into the pipe may be made
// over the ones before. Those that are mapped into it must stay as they are until they are read:
// several memories take turns, and each remembers how far the pipe must have been read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "send_window/send_window.h"

namespace tarspout {

class Unpackers {
 public:
  // `make`: an Unpack with a memory of its own, page aligned. `bytes_read`: how many of all bytes
  // that were ever written have been read; without it nothing is mapped.
  Unpackers(std::function<Unpack()> make, std::function<int64_t()> bytes_read)
      : make_(std::move(make)), bytes_read_(std::move(bytes_read)) {}

  // See Unpack.
  std::span<const uint8_t> Next(std::span<const uint8_t> packed, size_t* at);

  // Whether what Next() made last may be mapped. Not if all memories are in the pipe.
  bool MayMap() const { return current_ != nullptr; }
  // It was, or a part of it: it must stay until so many of all bytes have been read.
  void Mapped(int64_t bytes_written) { current_->busy_until = bytes_written; }

  // The pipe is closed with bytes unread, and a reader may still have them: their memories are
  // never used again, nor given back.
  void Abandon();
  // Nothing more is unpacked: the memories are given back.
  void LetGo();

 private:
  struct Memory {
    Unpack unpack;
    int64_t busy_until = 0;
  };
  static constexpr size_t kMost = 16;   // 4 MiB
  static constexpr size_t kEnough = 4;  // a pipe of 1 MiB full

  Memory* Free();

  const std::function<Unpack()> make_;
  const std::function<int64_t()> bytes_read_;
  Unpack copied_;
  std::vector<std::unique_ptr<Memory>> memories_;
  Memory* current_ = nullptr;
  int64_t read_ = 0;
};

}  // namespace tarspout
