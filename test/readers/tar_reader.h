// Go's archive/tar.Reader over a FIFO: the same reads in the same order. A header is one 512-byte
// block; the rest of a body and its padding are read when the next header is asked for; nothing is
// read past the second zero block. Types are not looked at: every header is a file, but for the pax
// 'x' and GNU 'L', 'K' headers that describe the next one.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>

#include "crc32.h"
#include "source.h"

namespace readers {

inline constexpr size_t kBlock = 512;
using Block = std::array<uint8_t, kBlock>;

inline bool IsZero(const Block& block) {
  for (const uint8_t byte : block) {
    if (byte != 0) return false;
  }
  return true;
}

struct TarHeader {
  std::string name;
  int64_t size = 0;
};

class TarReader {
 public:
  explicit TarReader(Source& source) : source_(source) {}

  // Generation C skips zero blocks before it hands the stream to a tar reader; this is the block it
  // stopped at.
  void Unread(const Block& block) {
    block_ = block;
    has_block_ = true;
  }

  Status Next(TarHeader* header) {
    std::string pax_name;
    std::string gnu_name;
    int64_t pax_size = -1;
    for (;;) {
      if (const Status status = SkipBody(); status != Status::kOk) return status;
      char type = 0;
      *header = {};
      if (const Status status = ReadHeader(header, &type); status != Status::kOk) return status;
      if (type == 'x' || type == 'L' || type == 'K') {
        std::string body;
        if (const Status status = ReadAll(header->size, &body); status != Status::kOk)
          return status;
        if (type == 'L') gnu_name = body.substr(0, body.find('\0'));
        if (type == 'x' && !ParsePax(body, &pax_name, &pax_size)) return Status::kHeader;
        continue;
      }
      if (!gnu_name.empty()) header->name = gnu_name;
      if (!pax_name.empty()) header->name = pax_name;
      if (pax_size >= 0) SetBody(header->size = pax_size);
      if (IsHeaderOnly(type)) {
        header->size = 0;
        SetBody(0);
      }
      return Status::kOk;
    }
  }

  // Reads the current body in pieces of at most `size`; kEof at its end, kUnexpectedEof if the FIFO
  // ends before it.
  Status ReadBody(uint8_t* target, size_t size, size_t* count) {
    *count = 0;
    if (body_left_ == 0) return Status::kEof;
    const size_t most = std::min<int64_t>(static_cast<int64_t>(size), body_left_);
    const Status status = source_.ReadSome(target, most, count);
    body_left_ -= static_cast<int64_t>(*count);
    return status == Status::kEof ? Status::kUnexpectedEof : status;
  }

 private:
  static bool IsHeaderOnly(char type) { return type >= '1' && type <= '6'; }

  void SetBody(int64_t size) {
    body_left_ = size;
    padding_ = static_cast<size_t>(-size & static_cast<int64_t>(kBlock - 1));
  }

  Status SkipBody() {
    std::array<uint8_t, 32 * 1024> scratch;
    while (body_left_ > 0) {
      size_t count = 0;
      if (const Status status = ReadBody(scratch.data(), scratch.size(), &count);
          status != Status::kOk) {
        return status;
      }
    }
    const size_t padding = padding_;
    padding_ = 0;
    const Status status = source_.ReadFull(scratch.data(), padding);
    return status == Status::kUnexpectedEof
               ? Status::kEof
               : status;  // tryReadFull: short padding ends the archive
  }

  Status ReadHeader(TarHeader* header, char* type) {
    if (!has_block_) {
      if (const Status status = source_.ReadFull(block_.data(), kBlock); status != Status::kOk) {
        return status;
      }
    }
    has_block_ = false;
    if (IsZero(block_)) {
      if (const Status status = source_.ReadFull(block_.data(), kBlock); status != Status::kOk) {
        return status;
      }
      return IsZero(block_) ? Status::kEof : Status::kHeader;
    }
    if (!ChecksumMatches()) return Status::kHeader;
    int64_t size = 0;
    if (!ParseNumber(124, 12, &size) || size < 0) return Status::kHeader;
    header->name = Text(0, 100);
    if (std::memcmp(&block_[257],
                    "ustar\0"
                    "00",
                    8) == 0 &&
        block_[345] != 0) {
      header->name = Text(345, 155) + "/" + header->name;
    }
    header->size = size;
    *type = static_cast<char>(block_[156]);
    SetBody(size);
    return Status::kOk;
  }

  Status ReadAll(int64_t size, std::string* body) {
    if (size > 1 << 20) return Status::kHeader;
    body->resize(static_cast<size_t>(size));
    const Status status = source_.ReadFull(reinterpret_cast<uint8_t*>(body->data()), body->size());
    if (status == Status::kOk) body_left_ = 0;
    return status == Status::kEof ? Status::kUnexpectedEof : status;
  }

  std::string Text(size_t offset, size_t width) const {
    const char* start = reinterpret_cast<const char*>(&block_[offset]);
    return std::string(start, strnlen(start, width));
  }

  bool ChecksumMatches() const {
    int64_t stated = 0;
    if (!ParseNumber(148, 8, &stated)) return false;
    int64_t plain = 0;
    int64_t with_sign = 0;
    for (size_t i = 0; i < kBlock; ++i) {
      const uint8_t byte = i >= 148 && i < 156 ? ' ' : block_[i];
      plain += byte;
      with_sign += static_cast<int8_t>(byte);
    }
    return stated == plain || stated == with_sign;
  }

  // Octal text between spaces and NULs, or GNU's base-256 form; an empty field is 0.
  bool ParseNumber(size_t offset, size_t width, int64_t* value) const {
    *value = 0;
    if ((block_[offset] & 0x80) != 0) {
      for (size_t i = 0; i < width; ++i) {
        if (*value >> 55 != 0) return false;
        *value = *value << 8 | (i == 0 ? block_[offset] & 0x7f : block_[offset + i]);
      }
      return true;
    }
    size_t from = offset;
    size_t to = offset + width;
    const auto blank = [&](size_t i) { return block_[i] == ' ' || block_[i] == 0; };
    while (from < to && blank(from)) ++from;
    while (from < to && blank(to - 1)) --to;
    for (; from < to; ++from) {
      if (block_[from] < '0' || block_[from] > '7') return false;
      *value = *value * 8 + (block_[from] - '0');
    }
    return true;
  }

  // Lines of `length key=value\n`, where length counts the whole line.
  static bool ParsePax(const std::string& body, std::string* name, int64_t* size) {
    for (size_t at = 0; at < body.size();) {
      char* end = nullptr;
      const unsigned long length = std::strtoul(body.c_str() + at, &end, 10);
      const size_t key = static_cast<size_t>(end - body.c_str()) + 1;
      if (*end != ' ' || length > body.size() - at || at + length <= key) return false;
      if (body[at + length - 1] != '\n') return false;
      const size_t equals = body.find('=', key);
      if (equals == std::string::npos || equals >= at + length) return false;
      const std::string value = body.substr(equals + 1, at + length - 1 - (equals + 1));
      if (body.compare(key, equals - key, "path") == 0) *name = value;
      if (body.compare(key, equals - key, "size") == 0)
        *size = std::strtoll(value.c_str(), nullptr, 10);
      at += length;
    }
    return true;
  }

  Source& source_;
  Block block_ = {};
  bool has_block_ = false;
  int64_t body_left_ = 0;
  size_t padding_ = 0;
};

}  // namespace readers
