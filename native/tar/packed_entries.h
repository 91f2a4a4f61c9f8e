// Small entries on their way from the thread that adds them to the one that writes them: name and
// body side by side, an eighth of what they are in an archive. So they pass from one processor's
// cache to another's, and are kept until they are delivered.
//
//   packed:  | template | record | record | ...
//   record:  | name's bytes, body's bytes: 16 bits each | name | body |
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "tar/header.h"

namespace tarspout::tar {

inline constexpr size_t kMostPackedBody = 1024;
inline constexpr size_t kPackedTemplateBytes = sizeof(HeaderTemplate);

// Bytes of a record.
constexpr size_t PackedBytes(std::string_view name, size_t body_bytes) {
  return 2 * sizeof(uint16_t) + name.size() + body_bytes;
}

struct PackedEntry {
  std::string_view name;
  std::span<const uint8_t> body;
  size_t packed_bytes;
};

// The first of some records.
PackedEntry FirstEntry(std::span<const uint8_t> records);

// What packed entries begin with. Writes kPackedTemplateBytes.
void PackTemplate(const HeaderTemplate& fixed, uint8_t* out);

// Writes PackedBytes(). `name` is one that the template encodes, for certain: a plain name that
// fits the name field; the body has at most kMostPackedBody.
void PackEntry(std::string_view name, std::span<const uint8_t> body, uint8_t* out);

// Makes headers, bodies and padding of packed entries, always in the same memory, which so stays in
// the processor's caches.
class EntryUnpacker {
 public:
  static constexpr size_t kMemoryBytes = 256 << 10;

  // `memory`: kMemoryBytes, the caller's, of any contents.
  explicit EntryUnpacker(uint8_t* memory) : memory_(memory) {}

  // The next whole entries of `packed` from `*at` on, which is 0 at its beginning and moved behind
  // them. Valid until the next call.
  std::span<const uint8_t> Next(std::span<const uint8_t> packed, size_t* at);

 private:
  // What a block of the memory holds from last time: only what differs is written anew.
  struct Block {
    bool is_header = false;      // of template_
    uint16_t used = kBlockSize;  // of the name field, or of the block; zeros follow
  };
  static constexpr size_t kBlocks = kMemoryBytes / kBlockSize;

  void Use(const uint8_t* packed_template);
  void PutHeader(std::string_view name, size_t size, size_t block);
  void PutBody(std::span<const uint8_t> body, size_t block);

  HeaderTemplate template_;
  std::array<Block, kBlocks> blocks_;
  uint8_t* const memory_;
};

}  // namespace tarspout::tar
