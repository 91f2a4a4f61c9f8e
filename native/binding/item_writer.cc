#include "binding/item_writer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "tar/block.h"
#include "tar/packed_entries.h"
#include "tar/text.h"

namespace tarspout::binding {
namespace {

// So many small entries are encoded at once. Of many in a row the engine encodes those that follow;
// each change between packed and other bytes costs a segment, and a write of its own.
constexpr int kLeastInARow = 64;

void PutPadded(Bytes body, uint8_t* out) {
  if (!body.empty()) std::memcpy(out, body.data(), body.size());
  std::memset(out + body.size(), 0, tar::PaddingBytes(body.size()));
}

}  // namespace

int64_t EntryBytes(size_t body_bytes) {
  return static_cast<int64_t>(tar::kBlockSize + body_bytes + tar::PaddingBytes(body_bytes));
}

std::vector<Item>* ItemWriter::Items() {
  Push();
  GiveChunk(chunk_);
  return &items_;
}

void ItemWriter::Abort(bool inside_body) {
  End(inside_body ? Item::Then::kAbortInsideBody : Item::Then::kAbort);
}

void ItemWriter::End(Item::Then then) {
  small_in_a_row_ = 0;
  Push();
  const bool has_part = !items_.empty() && items_.back().then == Item::Then::kMore;
  if (!has_part) items_.push_back({.number = archive_});
  items_.back().then = then;
  ++archive_;
}

void ItemWriter::LetGo() {
  items_.clear();
  last_in_chunk_ = 0;
  chunk_ = nullptr;
  used_ = pushed_ = 0;
}

// ---- entries of the template
// -----------------------------------------------------------------------------------------

bool ItemWriter::SetTemplate(const tar::EntryHeader& fixed) {
  if (unpacked_bytes_ > 0) Push();  // what was packed keeps the template it was added with
  if (!template_.Set(fixed)) return false;
  fixed_ = fixed;
  return true;
}

bool ItemWriter::IsSmall(std::string_view name, Bytes body) {
  return name.size() <= tar::kNameField.width && body.size() <= tar::kMostPackedBody;
}

void ItemWriter::PutSmall(std::string_view name, Bytes body) {
  const int64_t bytes = EntryBytes(body.size());
  if (++small_in_a_row_ < kLeastInARow) {
    uint8_t* out = Reserve(static_cast<size_t>(bytes));
    template_.Encode(name, static_cast<int64_t>(body.size()), out);
    PutPadded(body, out + tar::kBlockSize);
    used_ += static_cast<size_t>(bytes);
    return;
  }
  tar::PackEntry(name, body, PackedRoom(tar::PackedBytes(name, body.size())));
  unpacked_bytes_ += static_cast<size_t>(bytes);
}

void ItemWriter::PutRecords(Bytes records, int64_t bytes) {
  if (small_in_a_row_ + 1 >= kLeastInARow) {
    std::memcpy(PackedRoom(records.size()), records.data(), records.size());
    unpacked_bytes_ += static_cast<size_t>(bytes);
    return;
  }
  for (Bytes rest = records; !rest.empty();) {
    const tar::PackedEntry entry = tar::FirstEntry(rest);
    PutSmall(entry.name, entry.body);
    rest = rest.subspan(entry.packed_bytes);
  }
}

size_t ItemWriter::PrepareHeader(std::string_view name, size_t body_bytes, size_t room) {
  small_in_a_row_ = 0;
  const auto size = static_cast<int64_t>(body_bytes);
  if (template_.Encode(name, size, Reserve(tar::kBlockSize + room))) return tar::kBlockSize;
  // What is not ASCII may have been no text at all (a lone surrogate), which does not show any
  // more.
  if (!tar::ScanText(name).plain) return 0;
  tar::EntryHeader header = fixed_;
  header.name = name;
  header.size = size;
  const tar::Decision decision = tar::Decide(header);
  if (decision.format == tar::Format::kNone) return 0;
  uint8_t* out = Reserve(decision.header_bytes + room);
  return tar::EncodeHeader(header, decision, {out, decision.header_bytes});
}

// ---- bytes as they are
// -----------------------------------------------------------------------------------------------

void ItemWriter::Copy(Bytes bytes) {
  small_in_a_row_ = 0;
  while (!bytes.empty()) {
    Reserve(1);
    const size_t part = std::min(bytes.size(), Chunk::kSize - used_);
    std::memcpy(chunk_->data + used_, bytes.data(), part);
    used_ += part;
    bytes = bytes.subspan(part);
  }
}

void ItemWriter::CopyPadded(Bytes body) {
  small_in_a_row_ = 0;
  const size_t size = body.size() + tar::PaddingBytes(body.size());
  PutPadded(body, Reserve(size));
  used_ += size;
}

void ItemWriter::Lend(Bytes bytes, std::shared_ptr<const void> owner) {
  small_in_a_row_ = 0;
  Push();
  items_.push_back({.number = archive_, .segment = {bytes.data(), bytes.size(), std::move(owner)}});
}

// ---- chunks
// ----------------------------------------------------------------------------------------------------------

// Room for records of so many bytes, which count as used.
uint8_t* ItemWriter::PackedRoom(size_t bytes) {
  if (unpacked_bytes_ == 0) Push();
  uint8_t* out = Room(tar::kPackedTemplateBytes + bytes);
  if (used_ == pushed_) {
    tar::PackTemplate(template_, out);
    out += tar::kPackedTemplateBytes;
    used_ += tar::kPackedTemplateBytes;
  }
  used_ += bytes;
  return out;
}

// Room in which bytes are put as they are to be written.
uint8_t* ItemWriter::Reserve(size_t size) {
  if (unpacked_bytes_ > 0) Push();
  return Room(size);
}

// Room for `size` bytes in one piece (at most a chunk); used_ is not moved.
uint8_t* ItemWriter::Room(size_t size) {
  if (!chunk_ || Chunk::kSize - used_ < size) {
    Push();
    GiveChunk(std::move(chunk_));
    chunk_ = TakeChunk();
    used_ = pushed_ = 0;
  }
  return chunk_->data + used_;
}

// What was put into the chunk since the last push becomes an item.
void ItemWriter::Push() {
  if (used_ == pushed_) return;
  const size_t size = used_ - pushed_;
  Segment segment{chunk_->data + pushed_, size, nullptr};
  if (unpacked_bytes_ > 0) {
    segment.size = std::exchange(unpacked_bytes_, 0);
    segment.packed_size = size;
  }
  items_.push_back({.number = archive_, .segment = std::move(segment), .is_in_chunk = true});
  last_in_chunk_ = items_.size();
  pushed_ = used_;
}

// The last item that lies in it owns it, see GiveOwners().
void ItemWriter::GiveChunk(std::shared_ptr<Chunk> chunk) {
  if (last_in_chunk_ == 0) return;
  items_[std::exchange(last_in_chunk_, 0) - 1].segment.owner = std::move(chunk);
}

}  // namespace tarspout::binding
