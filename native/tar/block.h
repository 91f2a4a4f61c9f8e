// The ustar header block: where each field lies and how wide it is. Nothing else in this project
// knows an offset. Source: POSIX.1-2017, pax utility, "ustar Interchange Format".
#pragma once

#include <cstddef>
#include <cstdint>

namespace tarspout::tar {

inline constexpr size_t kBlockSize = 512;
// An archive ends with two zero blocks and nothing more (no record padding).
inline constexpr size_t kEndOfArchiveBytes = 2 * kBlockSize;

struct BlockField {
  size_t offset;
  size_t width;
  constexpr size_t end() const { return offset + width; }
};

inline constexpr BlockField kNameField{0, 100};
inline constexpr BlockField kModeField{kNameField.end(), 8};
inline constexpr BlockField kUidField{kModeField.end(), 8};
inline constexpr BlockField kGidField{kUidField.end(), 8};
inline constexpr BlockField kSizeField{kGidField.end(), 12};
inline constexpr BlockField kMtimeField{kSizeField.end(), 12};
inline constexpr BlockField kChecksumField{kMtimeField.end(), 8};
inline constexpr BlockField kTypeflagField{kChecksumField.end(), 1};
inline constexpr BlockField kLinknameField{kTypeflagField.end(), 100};
inline constexpr BlockField kMagicField{kLinknameField.end(), 6};
inline constexpr BlockField kVersionField{kMagicField.end(), 2};
inline constexpr BlockField kUnameField{kVersionField.end(), 32};
inline constexpr BlockField kGnameField{kUnameField.end(), 32};
inline constexpr BlockField kDevmajorField{kGnameField.end(), 8};
inline constexpr BlockField kDevminorField{kDevmajorField.end(), 8};
inline constexpr BlockField kPrefixField{kDevminorField.end(), 155};
static_assert(kPrefixField.end() == 500, "the header's 12 last bytes are unused");

// Bytes of zeros that follow `size` bytes of body, up to the next block.
constexpr size_t PaddingBytes(uint64_t size) {
  return static_cast<size_t>(-size & (kBlockSize - 1));
}

}  // namespace tarspout::tar
