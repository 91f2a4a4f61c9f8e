// Numeric fields of a header block: octal digits, then a terminator.
//
// A field of width w holds w - 2 digits, a space and a NUL, as long as the value fits: the
// widest-read form, and the one tar-stream writes. A value that needs w - 1 digits takes the
// space's place and keeps the NUL. The 12-byte fields (size, mtime) always have 11 digits and a
// space. POSIX allows space and NUL alike as terminators.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tar/block.h"

namespace tarspout::tar {

// 2^33 - 1 in 12-byte fields: bytes (8 GiB) of size, seconds (year 2242) of mtime.
inline constexpr int64_t kMaxOctal11 = (int64_t{1} << 33) - 1;
// 2^21 - 1 in 8-byte fields: uid, gid, devmajor, devminor.
inline constexpr int64_t kMaxOctal7 = (int64_t{1} << 21) - 1;

constexpr bool FitsOctal11(int64_t value) { return value >= 0 && value <= kMaxOctal11; }
constexpr bool FitsOctal7(int64_t value) { return value >= 0 && value <= kMaxOctal7; }

// Writes exactly `kDigits` octal digits; returns the sum of the digits' values (not of their
// characters).
template <size_t kDigits>
inline uint32_t PutDigits(uint8_t* out, uint64_t value) {
  uint32_t sum = 0;
  for (size_t i = 0; i < kDigits; ++i) {
    const uint32_t digit = static_cast<uint32_t>(value >> (3 * (kDigits - 1 - i))) & 7;
    out[i] = static_cast<uint8_t>('0' + digit);
    sum += digit;
  }
  return sum;
}

// A 12-byte field. The value must fit.
inline uint32_t PutOctal11(uint8_t* out, int64_t value) {
  const uint32_t sum = PutDigits<11>(out, static_cast<uint64_t>(value));
  out[11] = ' ';
  return sum;
}

// An 8-byte field. The value must fit.
inline void PutOctal7(uint8_t* out, int64_t value) {
  if (value < (1 << 18)) {
    PutDigits<6>(out, static_cast<uint64_t>(value));
    out[6] = ' ';
  } else {
    PutDigits<7>(out, static_cast<uint64_t>(value));
  }
  out[7] = 0;
}

}  // namespace tarspout::tar
