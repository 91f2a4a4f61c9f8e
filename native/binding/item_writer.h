// What is added, made into items for a channel: headers and small bodies are encoded into chunks,
// or only packed where many small entries come in a row; large bodies are lent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/arena.h"
#include "engine/messages.h"
#include "tar/entry_header.h"
#include "tar/header.h"

namespace tarspout::binding {

using Bytes = std::span<const uint8_t>;

// Of an entry in the archive: header, body and padding.
int64_t EntryBytes(size_t body_bytes);

class ItemWriter {
 public:
  // Everything so far; for Channel::Post(), which empties it.
  std::vector<Item>* Items();

  // The number of the open archive.
  uint64_t archive() const { return archive_; }
  // Each ends it, and begins the next one.
  void Finish() { End(Item::Then::kFinish); }
  void Abort(bool inside_body);

  // What was not taken is dropped, and no memory kept.
  void LetGo();

  // ---- entries of the template ----
  // False: no plain header holds these fields; the template is as before.
  bool SetTemplate(const tar::EntryHeader& fixed);
  // Whether PutSmall() takes an entry with this plain name.
  static bool IsSmall(std::string_view name, Bytes body);
  void PutSmall(std::string_view name, Bytes body);
  // Small entries, packed already (tar/packed_entries.h), which make so many bytes.
  void PutRecords(Bytes records, int64_t bytes);
  // Encodes a header, behind a pax header if it needs one. PutHeader() puts those bytes, with room
  // for so many behind them. 0: there is no header for it.
  size_t PrepareHeader(std::string_view name, size_t body_bytes, size_t room);
  void PutHeader(size_t header_bytes) { used_ += header_bytes; }

  // ---- bytes as they are ----
  void Copy(Bytes bytes);
  void CopyPadded(Bytes body);
  void Lend(Bytes bytes, std::shared_ptr<const void> owner);

 private:
  uint8_t* PackedRoom(size_t bytes);
  uint8_t* Reserve(size_t size);
  uint8_t* Room(size_t size);
  void End(Item::Then then);
  void Push();
  void GiveChunk(std::shared_ptr<Chunk> chunk);

  tar::EntryHeader fixed_;  // what the template is of
  tar::HeaderTemplate template_;
  std::shared_ptr<Chunk> chunk_;
  size_t used_ = 0;    // of chunk_
  size_t pushed_ = 0;  // of chunk_: items up to here
  int small_in_a_row_ = 0;
  size_t unpacked_bytes_ = 0;  // what lies between is packed, and makes so many
  uint64_t archive_ = 1;
  std::vector<Item> items_;
  size_t last_in_chunk_ = 0;  // of items_, from 1 on; 0: none lies in chunk_
};

}  // namespace tarspout::binding
