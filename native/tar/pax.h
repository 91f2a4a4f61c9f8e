// Pax records: `length key=value\n`, where length counts the whole record and itself.
// Source: POSIX.1-2017, pax utility, "pax Extended Header".
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tar/entry_header.h"

namespace tarspout::tar {

// Most bytes of records one entry may have. bsdtar refuses a record of more (libarchive 3.6), Go's
// archive/tar and node-tar refuse or skip a header of more than 1 MiB.
inline constexpr size_t kMaxPaxBytes = 1'000'000;

// Bytes of the record for a key and a value of these lengths.
size_t PaxRecordBytes(size_t key_bytes, size_t value_bytes);

// Writes the record; returns its length, which is PaxRecordBytes() of it.
size_t PutPaxRecord(PaxRecord record, uint8_t* out);

// A decimal number in pax text form, in place: no allocation.
class PaxNumber {
 public:
  explicit PaxNumber(int64_t value);
  // Seconds with as many decimals as needed and no trailing zeros: "-3599.5".
  PaxNumber(int64_t seconds, uint32_t nanoseconds);

  std::string_view text() const { return {begin_, static_cast<size_t>(end() - begin_)}; }

 private:
  const char* end() const { return text_ + sizeof text_; }
  void Prepend(uint64_t value);

  char text_[32];  // sign, 19 digits, point, 9 digits
  char* begin_ = text_ + sizeof text_;
};

// Whether text is what a reader expects in a time record: digits, with an optional sign and an
// optional fraction.
bool IsPaxTime(std::string_view text);
// Whether text is a decimal number without sign.
bool IsPaxDecimal(std::string_view text);

}  // namespace tarspout::tar
