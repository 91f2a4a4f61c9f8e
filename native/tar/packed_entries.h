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
#include <memory>
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

// What packed entries begin with. Writes kPackedTemplateBytes.
void PackTemplate(const HeaderTemplate& fixed, uint8_t* out);

// Writes PackedBytes(). `name` is one that the template encodes, for certain: a plain name that
// fits the name field; the body has at most kMostPackedBody.
void PackEntry(std::string_view name, std::span<const uint8_t> body, uint8_t* out);

// Makes headers, bodies and padding of packed entries, in memory that stays in the processor's
// caches.
class EntryUnpacker {
 public:
  // The next whole entries of `packed` from `*at` on, which is 0 at its beginning and moved behind
  // them. Valid until the next call.
  std::span<const uint8_t> Next(std::span<const uint8_t> packed, size_t* at);

 private:
  // What a block of the memory holds from last time: only what differs is written anew.
  struct Block {
    bool is_header = false;      // of template_
    uint16_t used = kBlockSize;  // of the name field, or of the block; zeros follow
  };
  static constexpr size_t kBlocks = (256 << 10) / kBlockSize;

  void Use(const uint8_t* packed_template);
  void PutHeader(std::string_view name, size_t size, size_t block);
  void PutBody(const uint8_t* body, size_t size, size_t block);

  HeaderTemplate template_;
  std::array<Block, kBlocks> blocks_;
  std::unique_ptr<uint8_t[]> bytes_;
};

}  // namespace tarspout::tar
