// The send window against a naive model: the same calls on a plain string of bytes.
#include "send_window/send_window.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <random>
#include <span>
#include <string>

#include "check.h"

namespace {

using tarspout::Piece;
using tarspout::Segment;
using tarspout::SendWindow;

Segment SegmentOf(const std::string& bytes) {
  auto owner = std::make_shared<std::string>(bytes);
  return {reinterpret_cast<const uint8_t*>(owner->data()), owner->size(), owner};
}

// Packed as one byte for three.
Segment Packed(const std::string& bytes) {
  Segment segment = SegmentOf(bytes);
  segment.packed_size = segment.size;
  segment.size *= 3;
  return segment;
}

std::string Tripled(const std::string& bytes) {
  std::string tripled;
  for (const char byte : bytes) tripled.append(3, byte);
  return tripled;
}

// Seven packed bytes at a time, always in the same memory.
tarspout::Unpack TripleUnpack() {
  return [memory = std::make_shared<std::string>()](std::span<const uint8_t> packed, size_t* at) {
    const size_t size = std::min<size_t>(7, packed.size() - *at);
    *memory = Tripled({reinterpret_cast<const char*>(packed.data()) + *at, size});
    *at += size;
    return std::span(reinterpret_cast<const uint8_t*>(memory->data()), memory->size());
  };
}

std::string Gathered(SendWindow& window, int64_t limit, size_t max_pieces, int64_t max_bytes) {
  std::vector<Piece> pieces;
  window.Gather(window.nxt(), limit, max_pieces, max_bytes, &pieces);
  CHECK(pieces.size() <= max_pieces);
  std::string bytes;
  for (const Piece& piece : pieces) {
    CHECK(piece.size > 0);
    bytes.append(reinterpret_cast<const char*>(piece.data), piece.size);
  }
  return bytes;
}

TEST("bytes come out in the order they were queued, across archives") {
  SendWindow window;
  window.Begin(1);
  window.Append(SegmentOf("ab"));
  window.Append(SegmentOf("cde"));
  window.Finish(0);
  window.Begin(2);
  window.Append(SegmentOf("f"));
  CHECK(Gathered(window, window.end(), 10, 100) == "abcdef");
  CHECK(Gathered(window, 4, 10, 100) == "abcd");
  CHECK(Gathered(window, window.end(), 1, 100) == "ab");
  CHECK(Gathered(window, window.end(), 10, 3) == "abc");
}

TEST("packed bytes come out unpacked, from any position, and again after a rewind") {
  SendWindow window(TripleUnpack());
  window.Begin(1);
  window.Append(SegmentOf("ab"));
  window.Append(Packed("0123456789"));
  window.Append(Packed("xy"));
  window.Append(SegmentOf("c"));
  window.Finish(0);
  const std::string whole = "ab" + Tripled("0123456789xy") + "c";
  CHECK(window.end() == static_cast<int64_t>(whole.size()));
  for (int round = 0; round < 2; ++round) {
    for (size_t at = 0; at < whole.size(); at += 5) {
      const std::string some = Gathered(window, window.end(), 10, 5);
      CHECK(!some.empty() && some == whole.substr(at, some.size()));
      window.Advance(static_cast<int64_t>(some.size()));
      at -= 5 - some.size();
    }
    window.Rewind();
  }
}

TEST("what was unpacked of an archive that was dropped is not taken for the next one") {
  SendWindow window(TripleUnpack());
  window.Begin(1);
  window.Append(Packed("ab"));
  CHECK(Gathered(window, window.end(), 10, 100) == "aaabbb");
  window.DropOpen();
  window.Begin(2);
  window.Append(Packed("cd"));
  CHECK(Gathered(window, window.end(), 10, 100) == "cccddd");
}

TEST("memory that lies behind the last segment becomes part of it") {
  SendWindow window;
  auto owner = std::make_shared<std::string>("abcdef");
  const auto* data = reinterpret_cast<const uint8_t*>(owner->data());
  window.Begin(1);
  window.Append({data, 3, owner});
  window.Advance(3);
  window.Append({data + 3, 3, owner});
  std::vector<Piece> pieces;
  window.Gather(window.nxt(), window.end(), 10, 100, &pieces);
  CHECK(pieces.size() == 1 && pieces[0].size == 3 && pieces[0].data == data + 3);
}

TEST("a segment's memory lives until its archive is popped, and no longer") {
  SendWindow window;
  auto owner = std::make_shared<std::string>("abc");
  const std::weak_ptr<std::string> alive = owner;
  window.Begin(1);
  window.Append({reinterpret_cast<const uint8_t*>(owner->data()), 3, std::move(owner)});
  window.Finish(0);
  window.Advance(3);
  CHECK(!alive.expired());
  window.PopHead();
  CHECK(alive.expired());
}

TEST("sending again is a move of nxt to una, and counts an attempt for what had begun") {
  SendWindow window;
  for (uint64_t number = 1; number <= 3; ++number) {
    window.Begin(number);
    window.Append(SegmentOf(std::string(4, static_cast<char>('a' + number))));
    window.Finish(0);
  }
  window.Advance(6);
  CHECK(window.Rewind() == 6);
  CHECK(window.nxt() == window.una());
  CHECK(window.At(0).attempts == 2 && window.At(1).attempts == 2 && window.At(2).attempts == 1);
}

TEST("what was released for lack of room cannot be sent again; what comes after it can") {
  SendWindow window;
  window.Begin(1);
  window.Append(SegmentOf("abcdef"));
  window.Finish(0);
  window.Begin(2);
  window.Append(SegmentOf("gh"));
  window.Finish(0);
  window.Advance(6);
  window.ReleaseTo(4);
  CHECK(!window.CanRewind());
  CHECK(window.RetainedBytes() == 4);
  window.PopHead();
  CHECK(window.CanRewind());
  CHECK(Gathered(window, window.end(), 10, 100) == "gh");
}

TEST("giving up an archive of which nothing was written skips its bytes") {
  SendWindow window;
  window.Begin(1);
  window.Append(SegmentOf("abc"));
  window.Finish(0);
  window.Begin(2);
  window.Append(SegmentOf("de"));
  window.Finish(0);
  window.PopHead();
  CHECK(window.nxt() == 3 && window.una() == 3);
  CHECK(Gathered(window, window.end(), 10, 100) == "de");
}

TEST("an open archive that was not begun to be written can be dropped") {
  SendWindow window;
  auto owner = std::make_shared<std::string>("abcdef");
  const auto* data = reinterpret_cast<const uint8_t*>(owner->data());
  window.Begin(1);
  window.Append({data, 2, owner});
  window.Finish(0);
  window.Begin(2);
  window.Append({data + 2, 4, owner});  // one segment with the archive before it
  CHECK(window.DropOpen() == 4);
  CHECK(window.end() == 2 && !window.HasOpen());
  window.Begin(3);
  window.Append(SegmentOf("XY"));
  CHECK(Gathered(window, window.end(), 10, 100) == "abXY");
}

// The same window, written so that it is obviously right: one string from the first byte ever
// queued on.
struct Model {
  struct Archive {
    int64_t start, end;
    uint32_t attempts;
  };
  std::string bytes;
  int64_t base = 0, nxt = 0;
  std::deque<Archive> archives;

  int64_t una() const {
    return archives.empty() ? static_cast<int64_t>(bytes.size()) : archives.front().start;
  }
};

void RunRandom(uint32_t seed) {
  std::mt19937 random(seed);
  const auto below = [&](int64_t limit) {
    return limit <= 0 ? 0 : static_cast<int64_t>(random() % static_cast<uint64_t>(limit));
  };
  SendWindow window(TripleUnpack());
  Model model;
  uint64_t number = 0;
  std::shared_ptr<std::string> chunk;
  size_t used = 0;
  for (int step = 0; step < 400; ++step) {
    const bool is_open = window.HasOpen();
    const auto end = static_cast<int64_t>(model.bytes.size());
    switch (random() % 8) {
      case 0:
        if (!is_open) {
          window.Begin(++number);
          model.archives.push_back({end, -1, 1});
        }
        break;
      case 1:
      case 2: {
        if (!is_open) break;
        const auto size = static_cast<size_t>(below(50));
        if (size > 0 && random() % 3 == 0) {
          std::string packed(size, '?');
          for (char& byte : packed) byte = static_cast<char>(random());
          window.Append(Packed(packed));
          model.bytes += Tripled(packed);
          break;
        }
        if (!chunk || chunk->size() - used < size) {
          chunk = std::make_shared<std::string>(200, '?');
          used = 0;
        }
        for (size_t i = 0; i < size; ++i) (*chunk)[used + i] = static_cast<char>(random());
        window.Append({reinterpret_cast<const uint8_t*>(chunk->data()) + used, size, chunk});
        model.bytes.append(*chunk, used, size);
        used += size;
        if (random() % 3 == 0) chunk.reset();  // the next one lies elsewhere
        break;
      }
      case 3:
        if (is_open) {
          window.Finish(1);
          model.archives.back().end = end;
        }
        break;
      case 4: {
        const std::string out = Gathered(window, model.nxt + below(end - model.nxt + 1),
                                         1 + random() % 5, 1 + below(200));
        CHECK(out == model.bytes.substr(static_cast<size_t>(model.nxt), out.size()));
        window.Advance(static_cast<int64_t>(out.size()));
        model.nxt += static_cast<int64_t>(out.size());
        break;
      }
      case 5:
        if (!model.archives.empty() && model.archives.front().end >= 0) {
          const int64_t stop = model.archives.front().end;
          window.PopHead();
          model.archives.pop_front();
          model.nxt = std::max(model.nxt, stop);
          model.base = std::max(model.base, stop);
        }
        break;
      case 6:
        if (random() % 4 == 0 && model.base == model.una()) {
          CHECK(window.CanRewind());
          CHECK(window.Rewind() == model.nxt - model.una());
          for (Model::Archive& archive : model.archives) {
            if (archive.start < model.nxt) ++archive.attempts;
          }
          model.nxt = model.una();
        } else if (random() % 8 == 0) {
          const int64_t to = model.base + below(model.nxt - model.base + 1);
          window.ReleaseTo(to);
          model.base = std::max(model.base, to);
        }
        break;
      case 7:
        if (is_open && model.nxt <= model.archives.back().start && random() % 4 == 0) {
          CHECK(window.DropOpen() == end - model.archives.back().start);
          model.bytes.resize(static_cast<size_t>(model.archives.back().start));
          model.archives.pop_back();
        }
        break;
    }
    CHECK(window.una() == model.una());
    CHECK(window.nxt() == model.nxt);
    CHECK(window.end() == static_cast<int64_t>(model.bytes.size()));
    CHECK(window.base() == model.base);
    CHECK(window.ArchiveCount() == model.archives.size());
    for (size_t i = 0; i < model.archives.size(); ++i) {
      CHECK(window.At(i).start == model.archives[i].start);
      CHECK(window.At(i).end == model.archives[i].end);
      CHECK(window.At(i).attempts == model.archives[i].attempts);
    }
    const std::string ahead = Gathered(window, window.end(), 1000, 1 << 20);
    CHECK(ahead == model.bytes.substr(static_cast<size_t>(model.nxt), ahead.size()));
    CHECK(!ahead.empty() || model.nxt == static_cast<int64_t>(model.bytes.size()));
    if (check::failures > 0) return;
  }
}

TEST("random calls do what a naive model does") {
  for (uint32_t seed = 1; seed <= 500 && check::failures == 0; ++seed) RunRandom(seed);
}

}  // namespace

int main() { return check::RunAll("send_window"); }
