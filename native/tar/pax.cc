#include "tar/pax.h"

#include <algorithm>
#include <cstring>

namespace tarspout::tar {

namespace {

size_t DecimalDigits(size_t value) {
  size_t digits = 1;
  for (; value >= 10; value /= 10) ++digits;
  return digits;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

size_t PaxRecordBytes(size_t key_bytes, size_t value_bytes) {
  const size_t rest = key_bytes + value_bytes + 3;  // space, equals sign, newline
  const size_t bytes = rest + DecimalDigits(rest);
  // Counting the length's own digits can make it one digit longer (rest 98: "100 ..." is 101),
  // never two.
  return rest + DecimalDigits(bytes);
}

size_t PutPaxRecord(PaxRecord record, uint8_t* out) {
  const size_t bytes = PaxRecordBytes(record.key.size(), record.value.size());
  uint8_t* at = out + DecimalDigits(bytes);
  for (size_t i = bytes, n = DecimalDigits(bytes); n > 0; i /= 10) {
    out[--n] = static_cast<uint8_t>('0' + i % 10);
  }
  *at++ = ' ';
  at = std::copy(record.key.begin(), record.key.end(), at);
  *at++ = '=';
  at = std::copy(record.value.begin(), record.value.end(), at);
  *at = '\n';
  return bytes;
}

PaxNumber::PaxNumber(int64_t value) {
  // Negated as unsigned: the smallest int64_t has no positive counterpart.
  Prepend(value < 0 ? -static_cast<uint64_t>(value) : static_cast<uint64_t>(value));
  if (value < 0) *--begin_ = '-';
}

PaxNumber::PaxNumber(int64_t seconds, uint32_t nanoseconds) {
  const bool negative = seconds < 0;
  uint64_t whole = static_cast<uint64_t>(seconds);
  uint32_t fraction = nanoseconds;
  if (negative) {
    // {-1, 750'000'000} is -0.25: the fraction counts up from mtime_s, the text down from zero.
    whole = -whole - (fraction == 0 ? 0 : 1);
    fraction = fraction == 0 ? 0 : 1'000'000'000 - fraction;
  }
  if (fraction != 0) {
    int digits = 9;
    for (; fraction % 10 == 0; fraction /= 10) --digits;
    for (; digits > 0; --digits, fraction /= 10) *--begin_ = static_cast<char>('0' + fraction % 10);
    *--begin_ = '.';
  }
  Prepend(whole);
  if (negative) *--begin_ = '-';
}

void PaxNumber::Prepend(uint64_t value) {
  do {
    *--begin_ = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
}

bool IsPaxTime(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  const size_t point = text.find('.');
  if (point == std::string_view::npos) return IsPaxDecimal(text);
  return IsPaxDecimal(text.substr(0, point)) && IsPaxDecimal(text.substr(point + 1));
}

bool IsPaxDecimal(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsDigit);
}

}  // namespace tarspout::tar
