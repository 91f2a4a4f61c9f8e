// What has to be known of a text before it goes into a header block, in one pass over its bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace tarspout::tar {

struct TextScan {
  uint32_t sum;  // of all bytes, for the checksum
  bool plain;    // ASCII without NUL: a ustar field may hold it
};

// Eight bytes at a time: the sum in 16-bit lanes, a NUL by the borrow it makes, non-ASCII by the
// high bits. At most 64 KiB of text keeps the sum exact; longer text never goes into a block.
inline TextScan ScanText(std::string_view text) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  constexpr uint64_t kHigh = 0x8080808080808080;
  constexpr uint64_t kEven = 0x00ff00ff00ff00ff;
  const char* at = text.data();
  size_t left = text.size();
  uint64_t bad = 0;
  uint64_t sum = 0;
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    bad |= (word | ((word - kOnes) & ~word)) & kHigh;
    const uint64_t lanes = (word & kEven) + ((word >> 8) & kEven);
    sum += (lanes * 0x0001000100010001) >> 48;
  }
  for (; left > 0; ++at, --left) {
    const auto byte = static_cast<uint8_t>(*at);
    bad |= static_cast<uint64_t>(byte == 0) | (byte & 0x80);
    sum += byte;
  }
  return {static_cast<uint32_t>(sum), bad == 0};
}

inline bool HasNul(std::string_view text) {
  return !text.empty() && std::memchr(text.data(), 0, text.size()) != nullptr;
}

}  // namespace tarspout::tar
