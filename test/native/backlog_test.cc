// What waits before the send window: whole archives, and the beginning of one.
#include "engine/backlog.h"

#include <cstdint>
#include <string>
#include <vector>

#include "check.h"

namespace {

using tarspout::Backlog;
using tarspout::Item;
using Then = Item::Then;

// An archive of parts of these sizes.
void Push(Backlog* backlog, uint64_t number, const std::vector<size_t>& sizes, Then then) {
  for (size_t i = 0; i < sizes.size(); ++i)
    backlog->Push({.number = number,
                   .segment = {nullptr, sizes[i], nullptr},
                   .then = i + 1 == sizes.size() ? then : Then::kMore});
}

// The sizes of what TakeArchive() gives; "." where it ends.
std::string Taken(Backlog* backlog) {
  std::string parts;
  backlog->TakeArchive([&](Item* item) {
    parts += std::to_string(item->segment.size) + (item->then == Then::kFinish ? "." : " ");
  });
  return parts;
}

TEST("archives come out one at a time, the open one with all there is of it") {
  Backlog backlog;
  Push(&backlog, 1, {10, 20}, Then::kFinish);
  Push(&backlog, 2, {5}, Then::kFinish);
  Push(&backlog, 3, {7, 8}, Then::kMore);
  CHECK(backlog.Bytes() == 50);
  CHECK(backlog.Finished() == 2);
  CHECK(backlog.OpenBytes() == 15);
  CHECK(backlog.HasOpen());
  CHECK(Taken(&backlog) == "10 20.");
  CHECK(backlog.Bytes() == 20);
  CHECK(backlog.Finished() == 1);
  CHECK(Taken(&backlog) == "5.");
  CHECK(backlog.OpenBytes() == 15);
  CHECK(Taken(&backlog) == "7 8 ");
  CHECK(backlog.IsEmpty());
  CHECK(backlog.Bytes() == 0);
  CHECK(backlog.OpenBytes() == 0);
  CHECK(!backlog.HasOpen());
}

TEST("the open archive is forgotten, those before it stay") {
  Backlog backlog;
  Push(&backlog, 1, {10}, Then::kFinish);
  Push(&backlog, 2, {20, 30}, Then::kMore);
  backlog.DropOpen();
  CHECK(backlog.Bytes() == 10);
  CHECK(backlog.OpenBytes() == 0);
  CHECK(!backlog.HasOpen());
  backlog.DropOpen();
  CHECK(Taken(&backlog) == "10.");
  CHECK(backlog.IsEmpty());
}

TEST("what is forgotten altogether is told by its numbers") {
  Backlog backlog;
  Push(&backlog, 4, {10, 15}, Then::kFinish);
  Push(&backlog, 5, {20}, Then::kMore);
  CHECK((backlog.Clear() == std::vector<uint64_t>{4, 5}));
  CHECK(backlog.IsEmpty());
  CHECK(backlog.Bytes() == 0);
  CHECK(backlog.Finished() == 0);
  CHECK(backlog.Clear().empty());
}

}  // namespace

int main() { return check::RunAll("backlog"); }
