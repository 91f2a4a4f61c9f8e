#include "tar/header.h"

#include <cassert>
#include <cstring>

#include "tar/octal.h"
#include "tar/pax.h"
#include "tar/records.h"
#include "tar/text.h"

namespace tarspout::tar {

namespace {

// Stands in a name or linkname field whose text is in a pax record, and names the 'x' header. A
// fixed word and no process id or counter, so that output is reproducible; the word is
// tar-stream's.
constexpr std::string_view kPaxName = "PaxHeader";

void PutText(uint8_t* block, BlockField field, std::string_view text) {
  assert(text.size() <= field.width);
  if (!text.empty()) std::memcpy(block + field.offset, text.data(), text.size());
}

void PutChecksum(uint8_t* block, uint32_t sum) {
  PutDigits<6>(block + kChecksumField.offset, sum);
  block[kChecksumField.offset + 6] = ' ';
  block[kChecksumField.offset + 7] = 0;
}

// Writes all fields, which must fit, but the checksum, which is left as spaces; returns the sum of
// the bytes.
uint32_t PutBlock(const EntryHeader& header, size_t prefix_bytes, uint8_t* block) {
  std::memset(block, 0, kBlockSize);
  if (prefix_bytes == 0) {
    PutText(block, kNameField, header.name);
  } else {
    PutText(block, kPrefixField, header.name.substr(0, prefix_bytes));
    PutText(block, kNameField, header.name.substr(prefix_bytes + 1));
  }
  PutOctal7(block + kModeField.offset, header.mode);
  PutOctal7(block + kUidField.offset, header.uid);
  PutOctal7(block + kGidField.offset, header.gid);
  PutOctal11(block + kSizeField.offset, header.size);
  PutOctal11(block + kMtimeField.offset, header.mtime_s);
  std::memset(block + kChecksumField.offset, ' ', kChecksumField.width);
  block[kTypeflagField.offset] = static_cast<uint8_t>(header.typeflag);
  PutText(block, kLinknameField, header.linkname);
  PutText(block, kMagicField, {"ustar", 6});
  PutText(block, kVersionField, "00");
  PutText(block, kUnameField, header.uname);
  PutText(block, kGnameField, header.gname);
  PutOctal7(block + kDevmajorField.offset, header.devmajor);
  PutOctal7(block + kDevminorField.offset, header.devminor);
  return ScanText({reinterpret_cast<const char*>(block), kBlockSize}).sum;
}

// What of the header goes into its block: what fits, a stand-in for what a pax record holds.
EntryHeader BlockFields(const EntryHeader& header, const Decision& decision) {
  EntryHeader fields = header;
  if (decision.NeedsRecord(Field::kName)) fields.name = kPaxName;
  if (decision.NeedsRecord(Field::kLinkname)) fields.linkname = kPaxName;
  if (decision.NeedsRecord(Field::kSize)) fields.size = 0;
  if (!FitsOctal11(header.mtime_s))
    fields.mtime_s = 0;  // otherwise the whole seconds stay readable
  if (decision.NeedsRecord(Field::kUid)) fields.uid = 0;
  if (decision.NeedsRecord(Field::kGid)) fields.gid = 0;
  if (decision.NeedsRecord(Field::kUname)) fields.uname = {};
  if (decision.NeedsRecord(Field::kGname)) fields.gname = {};
  return fields;
}

}  // namespace

size_t EncodeHeader(const EntryHeader& header, const Decision& decision, std::span<uint8_t> out) {
  assert(decision.format != Format::kNone);
  if (out.size() < decision.header_bytes) return decision.header_bytes;
  uint8_t* at = out.data();
  EntryHeader fields = BlockFields(header, decision);
  if (decision.format == Format::kPax) {
    EntryHeader extended = fields;
    extended.name = kPaxName;
    if (!decision.NeedsRecord(Field::kLinkname)) extended.linkname = {};
    extended.typeflag = 'x';
    extended.size = static_cast<int64_t>(decision.pax_bytes);
    PutChecksum(at, PutBlock(extended, 0, at));
    at += kBlockSize;
    ForEachRecord(header, decision.records,
                  [&](PaxRecord record) { at += PutPaxRecord(record, at); });
    const size_t padding = PaddingBytes(decision.pax_bytes);
    std::memset(at, 0, padding);
    at += padding;
  }
  PutChecksum(at, PutBlock(fields, decision.prefix_bytes, at));
  assert(at + kBlockSize == out.data() + decision.header_bytes);
  return decision.header_bytes;
}

HeaderTemplate::HeaderTemplate() {
  [[maybe_unused]] const bool plain = Set(EntryHeader{});
  assert(plain);
}

bool HeaderTemplate::Set(const EntryHeader& fixed) {
  EntryHeader fields = fixed;
  fields.size = 0;
  fields.name = "-";  // any name that fits: the decision is about the other fields
  if (Decide(fields).format != Format::kUstar) return false;
  fields.name = {};
  sum_ = PutBlock(fields, 0, block_);
  typeflag_ = fields.typeflag;
  return true;
}

bool HeaderTemplate::Encode(std::string_view name, int64_t size, uint8_t* out) const {
  if (name.size() > kNameField.width + 1 + kPrefixField.width) return false;
  const TextScan scan = ScanText(name);
  if (!Takes(name, scan, size)) return false;
  uint32_t sum = sum_ + scan.sum;
  if (name.size() <= kNameField.width) {
    std::memcpy(out, block_, kBlockSize);
    std::memcpy(out, name.data(), name.size());
  } else {
    const size_t prefix_bytes = SplitName(name);
    if (prefix_bytes == 0) return false;
    std::memcpy(out, block_, kBlockSize);
    PutText(out, kPrefixField, name.substr(0, prefix_bytes));
    PutText(out, kNameField, name.substr(prefix_bytes + 1));
    sum -= '/';
  }
  PutSize(size, sum, out);
  return true;
}

bool HeaderTemplate::EncodeOver(size_t name_bytes, std::string_view name, int64_t size,
                                uint8_t* out) const {
  if (name.size() > kNameField.width) return false;
  const TextScan scan = ScanText(name);
  if (!Takes(name, scan, size)) return false;
  std::memcpy(out, name.data(), name.size());
  if (name.size() < name_bytes) std::memset(out + name.size(), 0, name_bytes - name.size());
  PutSize(size, sum_ + scan.sum, out);
  return true;
}

bool HeaderTemplate::Takes(std::string_view name, const TextScan& scan, int64_t size) const {
  if (name.empty() || !scan.plain || !FitsOctal11(size)) return false;
  if (name.back() == '/' && typeflag_ != '5') return false;
  return size == 0 || !IsBodyless(typeflag_);
}

// And the checksum: `sum` is that of the block as if its size were 0.
void HeaderTemplate::PutSize(int64_t size, uint32_t sum, uint8_t* out) {
  // block_ holds eleven '0' there, which sum_ counts; the digits' own values come on top.
  sum += PutDigits<11>(out + kSizeField.offset, static_cast<uint64_t>(size));
  PutChecksum(out, sum);
}

}  // namespace tarspout::tar
