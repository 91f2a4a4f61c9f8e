// Encodes headers into memory of the caller. No allocation, no system call, no clock: same input,
// same bytes.
//
// ustar:  | header block |
// pax:    | 'x' header block | pax records, padded to a block | header block |
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "tar/block.h"
#include "tar/entry_header.h"
#include "tar/format.h"
#include "tar/text.h"

namespace tarspout::tar {

// The general path. `decision` must be Decide(header) and not kNone. Returns decision.header_bytes;
// if `out` is smaller than that, nothing is written.
size_t EncodeHeader(const EntryHeader& header, const Decision& decision, std::span<uint8_t> out);

// The hot path: entries that differ only in name and size. The other fields and their part of the
// checksum are set once; Encode() copies the block and writes name, size and checksum.
class HeaderTemplate {
 public:
  // A regular file, mode 0600, ids 0, mtime 0.
  HeaderTemplate();

  // Takes every field of `fixed` but name and size. False, and unchanged, if one of them needs a
  // pax record or is at fault: such entries take the general path.
  bool Set(const EntryHeader& fixed);

  // Writes exactly kBlockSize bytes. False if name or size need a pax record or are at fault: `out`
  // is then untouched, and Decide() tells which.
  bool Encode(std::string_view name, int64_t size, uint8_t* out) const;

  // The same for a name that fits the name field, where `out` holds what this template encoded with
  // such a name of `name_bytes` before: only what differs is written.
  bool EncodeOver(size_t name_bytes, std::string_view name, int64_t size, uint8_t* out) const;

 private:
  bool Takes(std::string_view name, const TextScan& scan, int64_t size) const;
  static void PutSize(int64_t size, uint32_t sum, uint8_t* out);

  uint8_t block_[kBlockSize];
  uint32_t sum_;  // of block_, with the checksum field as spaces
  char typeflag_;
};

}  // namespace tarspout::tar
