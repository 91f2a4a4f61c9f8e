// Every pax record of an entry, in the order they are written: ours, by field, then the caller's.
// One place, so that what is measured is what is written.
#pragma once

#include <cstdint>

#include "tar/entry_header.h"
#include "tar/format.h"
#include "tar/pax.h"

namespace tarspout::tar {

// A record the caller gives for mtime, uid, gid, uname or gname stands for the field: two records
// of one key would leave the choice to the reader.
inline bool CallerGives(const EntryHeader& header, std::string_view key) {
  for (const PaxRecord& record : header.pax) {
    if (record.key == key) return true;
  }
  return false;
}

template <typename Visit>
void ForEachRecord(const EntryHeader& header, uint16_t records, Visit visit) {
  const auto ours = [&](Field field, std::string_view key, std::string_view value) {
    if ((records >> static_cast<unsigned>(field)) & 1 && !CallerGives(header, key))
      visit({key, value});
  };
  if (records != 0) {
    ours(Field::kName, "path", header.name);
    ours(Field::kLinkname, "linkpath", header.linkname);
    ours(Field::kSize, "size", PaxNumber(header.size).text());
    ours(Field::kMtime, "mtime", PaxNumber(header.mtime_s, header.mtime_ns).text());
    ours(Field::kUid, "uid", PaxNumber(header.uid).text());
    ours(Field::kGid, "gid", PaxNumber(header.gid).text());
    ours(Field::kUname, "uname", header.uname);
    ours(Field::kGname, "gname", header.gname);
  }
  for (const PaxRecord& record : header.pax) visit(record);
}

}  // namespace tarspout::tar
