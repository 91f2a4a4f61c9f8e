// The memories packed segments are unpacked into, against what a pipe would still hold of them.
#include "engine/unpackers.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <random>
#include <string>

#include "check.h"

namespace {

using tarspout::Unpack;
using tarspout::Unpackers;

using Bytes = std::span<const uint8_t>;

// Copies ten bytes at a time into a memory of its own.
Unpack CopyUnpack() {
  return [memory = std::make_shared<std::array<uint8_t, 10>>()](Bytes packed, size_t* at) {
    const size_t size = std::min(memory->size(), packed.size() - *at);
    std::memcpy(memory->data(), packed.data() + *at, size);
    *at += size;
    return Bytes(memory->data(), size);
  };
}

std::string Text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// What Next() makes of a text.
Bytes Unpacked(Unpackers& unpackers, const std::string& text) {
  size_t at = 0;
  return unpackers.Next({reinterpret_cast<const uint8_t*>(text.data()), text.size()}, &at);
}

TEST("without a pipe that holds on to it one memory does, and nothing may be mapped") {
  Unpackers unpackers(CopyUnpack, nullptr);
  const Bytes first = Unpacked(unpackers, "first");
  CHECK(!unpackers.MayMap());
  CHECK(Unpacked(unpackers, "next").data() == first.data());
}

TEST("what was mapped stays until it is read; then its memory is the first to be used again") {
  int64_t read = 0;
  Unpackers unpackers(CopyUnpack, [&] { return read; });
  std::deque<Bytes> mapped;
  for (int i = 1; i <= 4; ++i) {
    mapped.push_back(Unpacked(unpackers, std::to_string(i)));
    CHECK(unpackers.MayMap());
    unpackers.Mapped(10 * i);
  }
  read = 29;  // two of them
  CHECK(Unpacked(unpackers, "x").data() == mapped[1].data());
  unpackers.Mapped(50);
  CHECK(Unpacked(unpackers, "y").data() == mapped[0].data());
  unpackers.Mapped(60);
  CHECK(Text(mapped[2]) == "3" && Text(mapped[3]) == "4");
}

TEST("what was unpacked and not mapped may be overwritten") {
  int64_t read = 0;
  Unpackers unpackers(CopyUnpack, [&] { return read; });
  const Bytes first = Unpacked(unpackers, "a");
  CHECK(Unpacked(unpackers, "b").data() == first.data());
}

TEST("with all memories in the pipe the next bytes are to be copied") {
  int64_t read = 0;
  Unpackers unpackers(CopyUnpack, [&] { return read; });
  int64_t written = 0;
  for (; written < 100 && Unpacked(unpackers, "x").size() == 1 && unpackers.MayMap(); ++written)
    unpackers.Mapped(written + 1);
  CHECK(written == 16);
  CHECK(Text(Unpacked(unpackers, "copied")) == "copied" && !unpackers.MayMap());
  read = 1;
  Unpacked(unpackers, "mapped");
  CHECK(unpackers.MayMap());
}

TEST("what was abandoned is never overwritten") {
  int64_t read = 0;
  Unpackers unpackers(CopyUnpack, [&] { return read; });
  const Bytes kept = Unpacked(unpackers, "kept");
  unpackers.Mapped(4);
  unpackers.Abandon();
  unpackers.Mapped(5);  // the rest of it, into the next pipe
  read = 100;
  for (int i = 0; i < 40; ++i) {
    Unpacked(unpackers, "other");
    if (unpackers.MayMap()) unpackers.Mapped(100 + i);
  }
  CHECK(Text(kept) == "kept");
}

TEST("whatever is written and read, the pipe's bytes are those that were mapped") {
  struct Piece {
    Bytes bytes;
    std::string text;
    int64_t end;
  };
  std::mt19937 random(11);
  int64_t read = 0;
  int64_t written = 0;
  Unpackers unpackers(CopyUnpack, [&] { return read; });
  std::deque<Piece> pipe;
  int copied = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::string text(1 + random() % 10, static_cast<char>('a' + random() % 26));
    const Bytes bytes = Unpacked(unpackers, text);
    CHECK(Text(bytes) == text);
    if (random() % 8 != 0) {
      written += static_cast<int64_t>(text.size());
      if (unpackers.MayMap()) {
        unpackers.Mapped(written);
        pipe.push_back({bytes, text, written});
      } else {
        ++copied;
      }
    }
    if (random() % 4 == 0) read += static_cast<int64_t>(random() % 40);
    read = std::min(read, written);
    while (!pipe.empty() && pipe.front().end <= read) pipe.pop_front();
    for (const Piece& piece : pipe) CHECK(Text(piece.bytes) == piece.text);
  }
  CHECK(copied > 0);
}

}  // namespace

int main() { return check::RunAll("unpackers"); }
