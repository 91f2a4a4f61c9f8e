#include "tar/packed_entries.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <type_traits>

namespace tarspout::tar {
namespace {

static_assert(std::is_trivially_copyable_v<HeaderTemplate>);

struct Sizes {
  uint16_t name;
  uint16_t body;
};

size_t BlocksOf(size_t bytes) { return (bytes + kBlockSize - 1) / kBlockSize; }

}  // namespace

void PackTemplate(const HeaderTemplate& fixed, uint8_t* out) {
  std::memcpy(out, &fixed, kPackedTemplateBytes);
}

void PackEntry(std::string_view name, std::span<const uint8_t> body, uint8_t* out) {
  assert(name.size() <= kNameField.width && body.size() <= kMostPackedBody);
  const Sizes sizes{static_cast<uint16_t>(name.size()), static_cast<uint16_t>(body.size())};
  std::memcpy(out, &sizes, sizeof(sizes));
  std::memcpy(out + sizeof(sizes), name.data(), name.size());
  if (!body.empty()) std::memcpy(out + sizeof(sizes) + name.size(), body.data(), body.size());
}

PackedEntry FirstEntry(std::span<const uint8_t> records) {
  Sizes sizes;
  std::memcpy(&sizes, records.data(), sizeof(sizes));
  const uint8_t* name = records.data() + sizeof(sizes);
  return {.name = {reinterpret_cast<const char*>(name), sizes.name},
          .body = {name + sizes.name, sizes.body},
          .packed_bytes = sizeof(sizes) + sizes.name + sizes.body};
}

std::span<const uint8_t> EntryUnpacker::Next(std::span<const uint8_t> packed, size_t* at) {
  Use(packed.data());
  *at = std::max(*at, kPackedTemplateBytes);
  size_t block = 0;
  while (*at < packed.size()) {
    const PackedEntry entry = FirstEntry(packed.subspan(*at));
    const size_t blocks = 1 + BlocksOf(entry.body.size());
    if (block + blocks > kBlocks) break;
    PutHeader(entry.name, entry.body.size(), block);
    PutBody(entry.body, block + 1);
    block += blocks;
    *at += entry.packed_bytes;
  }
  return {memory_, block * kBlockSize};
}

void EntryUnpacker::Use(const uint8_t* packed_template) {
  if (std::memcmp(&template_, packed_template, kPackedTemplateBytes) == 0) return;
  std::memcpy(static_cast<void*>(&template_), packed_template, kPackedTemplateBytes);
  for (Block& block : blocks_) {
    if (block.is_header) block = {};
  }
}

void EntryUnpacker::PutHeader(std::string_view name, size_t size, size_t block) {
  Block& before = blocks_[block];
  uint8_t* out = memory_ + block * kBlockSize;
  [[maybe_unused]] const bool is_encoded =
      before.is_header ? template_.EncodeOver(before.used, name, static_cast<int64_t>(size), out)
                       : template_.Encode(name, static_cast<int64_t>(size), out);
  assert(is_encoded);
  before = {true, static_cast<uint16_t>(name.size())};
}

void EntryUnpacker::PutBody(std::span<const uint8_t> body, size_t block) {
  for (; !body.empty(); ++block) {
    Block& before = blocks_[block];
    uint8_t* out = memory_ + block * kBlockSize;
    const size_t part = std::min(body.size(), kBlockSize);
    const size_t used = before.is_header ? kBlockSize : before.used;
    std::memcpy(out, body.data(), part);
    if (used > part) std::memset(out + part, 0, used - part);
    before = {false, static_cast<uint16_t>(part)};
    body = body.subspan(part);
  }
}

}  // namespace tarspout::tar
