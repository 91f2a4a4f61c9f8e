#include "tar/path_set.h"

#include <string>

#include "check.h"

namespace {

using tarspout::tar::PathSet;

TEST("a file may come twice") {
  PathSet<> paths;
  CHECK(paths.AddFile("a"));
  CHECK(paths.AddFile("a"));
  CHECK(paths.AddFile("d/a"));
  CHECK(paths.AddFile("d/a"));
}

TEST("a file cannot become a folder, at any depth, whatever came in between") {
  PathSet<> paths;
  CHECK(paths.AddFile("a"));
  CHECK(paths.AddFile("d/e/f"));
  for (int i = 0; i < 10'000; ++i) CHECK(paths.AddFile("n" + std::to_string(i)));
  CHECK(!paths.AddFile("a/b"));
  CHECK(!paths.AddFile("a/b/c"));
  CHECK(!paths.AddFile("d/e/f/g"));
  CHECK(!paths.AddFile("n9999/x"));
}

TEST("a folder cannot become a file") {
  PathSet<> paths;
  CHECK(paths.AddFile("d/e/f"));
  CHECK(!paths.AddFile("d"));
  CHECK(!paths.AddFile("d/e"));
  CHECK(paths.AddFile("d/f"));
  CHECK(paths.AddFile("de"));
}

TEST("files that came before the first folder are found, however many") {
  for (const int count : {1, 255, 256, 257, 256 + 512, 256 + 513, 10'000}) {
    PathSet<> paths;
    for (int i = 0; i < count; ++i) CHECK(paths.AddFile(std::to_string(i)));
    CHECK(paths.AddFile("d/e"));
    for (int i = 0; i < count; ++i) CHECK(!paths.AddFile(std::to_string(i) + "/x"));
    CHECK(paths.AddFile(std::to_string(count) + "/x"));
  }
}

TEST("what was refused was not added") {
  PathSet<> paths;
  CHECK(paths.AddFile("a"));
  CHECK(!paths.AddFile("a/b"));
  CHECK(paths.AddFile("b"));
  CHECK(paths.AddFile("a"));
}

TEST("after Clear() nothing is left, after a large archive too") {
  PathSet<> paths;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 5'000; ++i) CHECK(paths.AddFile(std::to_string(i) + "/x"));
    paths.Clear();
    CHECK(paths.AddFile("7"));
    paths.Clear();
    CHECK(paths.AddFile("7/y"));
    paths.Clear();
  }
}

TEST("a hundred thousand names are a hundred thousand paths") {
  PathSet<> paths;
  for (int i = 0; i < 100'000; ++i) CHECK(paths.AddFile("topic-3-" + std::to_string(i)));
  for (int i = 0; i < 100'000; ++i) CHECK(paths.AddFile("other/topic-3-" + std::to_string(i)));
}

}  // namespace

int main() { return check::RunAll("path_set"); }
