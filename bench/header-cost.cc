// What encoding one header costs in C++: scripts/header-cost.sh counts its instructions and takes
// its time. Usage: header-cost <case> <count>; prints nanoseconds per header.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "tar/header.h"

namespace {

namespace tar = tarspout::tar;

// Headers go one behind the other into memory, as in an archive of small bodies.
constexpr size_t kStride = 1024;
constexpr size_t kSlots = 256;

struct Case {
  const char* name;
  std::string entry;
  bool general;  // decide and encode, instead of the template
  uint32_t mtime_ns;
};

std::vector<Case> Cases() {
  return {
      {"template-20", "topic-0-000000000017", false, 0},
      {"template-100", std::string(100, 'n'), false, 0},
      {"template-split-151", std::string(75, 'p') + "/" + std::string(75, 't'), false, 0},
      {"general-20", "topic-0-000000000017", true, 0},
      {"general-pax-mtime", "topic-0-000000000017", true, 5'000'000},
      {"general-pax-path-300", std::string(300, 'n'), true, 0},
  };
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const long count = std::strtol(argv[2], nullptr, 10);
  static uint8_t memory[kStride * kSlots + 4096];
  for (const Case& c : Cases()) {
    if (std::string_view(argv[1]) != c.name) continue;
    const tar::HeaderTemplate block;
    int64_t written = 0;
    const auto begin = std::chrono::steady_clock::now();
    for (long i = 0; i < count; ++i) {
      uint8_t* out = memory + static_cast<size_t>(i) % kSlots * kStride;
      const int64_t size = 100 + (i & 7);
      if (!c.general) {
        written += block.Encode(c.entry, size, out);
      } else {
        const tar::EntryHeader header{.name = c.entry, .size = size, .mtime_ns = c.mtime_ns};
        const tar::Decision decision = tar::Decide(header);
        written += static_cast<int64_t>(tar::EncodeHeader(header, decision, {out, 4096}));
      }
    }
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
    if (count > 0 && written == 0) return 1;
    std::printf("%.1f\n", took.count() / static_cast<double>(count > 0 ? count : 1));
    return 0;
  }
  return 2;
}
