// What waits before the send window: whole archives, and the beginning of one.
#include "engine/backlog.h"

#include <cstdint>
#include <string>
#include <vector>

#include "check.h"

namespace {

using tarspout::Backlog;
using tarspout::Item;
using Kind = Item::Kind;

// An archive of appends of these sizes.
void Push(Backlog* backlog, uint64_t number, const std::vector<size_t>& sizes, bool is_finished) {
  backlog->Push({.kind = Kind::kBegin, .number = number});
  for (const size_t size : sizes)
    backlog->Push({.kind = Kind::kAppend, .segment = {nullptr, size, nullptr}});
  if (is_finished) backlog->Push({.kind = Kind::kFinish});
}

// The kinds of what TakeArchive() gives, a letter each.
std::string Taken(Backlog* backlog) {
  std::string kinds;
  backlog->TakeArchive([&](Item* item) { kinds += "bafx"[static_cast<int>(item->kind)]; });
  return kinds;
}

TEST("archives come out one at a time, the open one with all there is of it") {
  Backlog backlog;
  Push(&backlog, 1, {10, 20}, true);
  Push(&backlog, 2, {5}, true);
  Push(&backlog, 3, {7, 8}, false);
  CHECK(backlog.Bytes() == 50);
  CHECK(backlog.Finished() == 2);
  CHECK(backlog.OpenBytes() == 15);
  CHECK(backlog.HasOpen());
  CHECK(Taken(&backlog) == "baaf");
  CHECK(backlog.Bytes() == 20);
  CHECK(backlog.Finished() == 1);
  CHECK(Taken(&backlog) == "baf");
  CHECK(backlog.OpenBytes() == 15);
  CHECK(Taken(&backlog) == "baa");
  CHECK(backlog.IsEmpty());
  CHECK(backlog.Bytes() == 0);
  CHECK(backlog.OpenBytes() == 0);
  CHECK(!backlog.HasOpen());
}

TEST("the open archive is forgotten, those before it stay") {
  Backlog backlog;
  Push(&backlog, 1, {10}, true);
  Push(&backlog, 2, {20, 30}, false);
  backlog.DropOpen();
  CHECK(backlog.Bytes() == 10);
  CHECK(backlog.OpenBytes() == 0);
  CHECK(!backlog.HasOpen());
  Push(&backlog, 3, {}, false);
  CHECK(backlog.HasOpen());
  backlog.DropOpen();
  CHECK(Taken(&backlog) == "baf");
  CHECK(backlog.IsEmpty());
}

TEST("what is forgotten altogether is told by its numbers") {
  Backlog backlog;
  Push(&backlog, 4, {10}, true);
  Push(&backlog, 5, {20}, false);
  CHECK((backlog.Clear() == std::vector<uint64_t>{4, 5}));
  CHECK(backlog.IsEmpty());
  CHECK(backlog.Bytes() == 0);
  CHECK(backlog.Finished() == 0);
  CHECK(backlog.Clear().empty());
}

}  // namespace

int main() { return check::RunAll("backlog"); }
