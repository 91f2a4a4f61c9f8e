// Unpacked entries against the same entries encoded one by one.
#include "tar/packed_entries.h"

#include <random>
#include <string>
#include <vector>

#include "check.h"

namespace {

using namespace tarspout::tar;

struct Entry {
  std::string name;
  std::string body;
};

std::span<const uint8_t> BytesOf(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

HeaderTemplate TemplateOf(int64_t mtime_s) {
  HeaderTemplate fixed;
  CHECK(fixed.Set({.mode = 0644, .mtime_s = mtime_s}));
  return fixed;
}

std::string Pack(const HeaderTemplate& fixed, const std::vector<Entry>& entries) {
  std::string packed(kPackedTemplateBytes, '?');
  PackTemplate(fixed, reinterpret_cast<uint8_t*>(packed.data()));
  for (const Entry& entry : entries) {
    const size_t at = packed.size();
    packed.resize(at + PackedBytes(entry.name, entry.body.size()));
    PackEntry(entry.name, BytesOf(entry.body), reinterpret_cast<uint8_t*>(packed.data()) + at);
  }
  return packed;
}

std::string Encode(const HeaderTemplate& fixed, const std::vector<Entry>& entries) {
  std::string bytes;
  for (const Entry& entry : entries) {
    uint8_t header[kBlockSize];
    CHECK(fixed.Encode(entry.name, static_cast<int64_t>(entry.body.size()), header));
    bytes.append(reinterpret_cast<const char*>(header), kBlockSize);
    bytes += entry.body;
    bytes.append(PaddingBytes(entry.body.size()), '\0');
  }
  return bytes;
}

std::string Unpack(EntryUnpacker* unpacker, const std::string& packed) {
  std::string bytes;
  size_t at = 0;
  while (at < packed.size()) {
    const auto next = unpacker->Next(BytesOf(packed), &at);
    if (!CHECK(!next.empty())) break;
    bytes.append(reinterpret_cast<const char*>(next.data()), next.size());
  }
  return bytes;
}

TEST("entries of all small sizes come out as if encoded one by one") {
  std::vector<uint8_t> memory(EntryUnpacker::kMemoryBytes, 0x5a);
  EntryUnpacker unpacker(memory.data());
  std::vector<Entry> entries;
  for (const size_t size : {0, 1, 100, 511, 512, 513, 1023, 1024}) {
    entries.push_back({"n" + std::to_string(size), std::string(size, 'b')});
  }
  entries.push_back({std::string(100, 'n'), ""});
  const HeaderTemplate fixed = TemplateOf(7);
  CHECK(Unpack(&unpacker, Pack(fixed, entries)) == Encode(fixed, entries));
}

// The memory is used again and again: nothing of earlier entries or templates may be left in it.
TEST("random entries, templates and runs, in the same memory") {
  std::mt19937 random(17);
  std::vector<uint8_t> memory(EntryUnpacker::kMemoryBytes, 0x5a);
  EntryUnpacker unpacker(memory.data());
  for (int run = 0; run < 60 && check::failures == 0; ++run) {
    const size_t largest = random() % 4 == 0 ? kMostPackedBody : 300;
    std::vector<Entry> entries(1 + random() % 2'000);
    for (Entry& entry : entries) {
      entry.name.assign(1 + random() % kNameField.width, static_cast<char>('a' + random() % 26));
      entry.body.assign(random() % (largest + 1), static_cast<char>(random()));
    }
    const HeaderTemplate fixed = TemplateOf(static_cast<int64_t>(random() % 3));
    CHECK(Unpack(&unpacker, Pack(fixed, entries)) == Encode(fixed, entries));
  }
}

}  // namespace

int main() { return check::RunAll("packed_entries"); }
