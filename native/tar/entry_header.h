// What a header says about its entry, as the caller gives it. Views only: nothing here owns or
// copies text.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace tarspout::tar {

// One `length key=value` line of a pax extended header.
struct PaxRecord {
  std::string_view key;
  std::string_view value;
};

// Text is UTF-8, counted in bytes. The time is mtime_s + mtime_ns / 1e9 seconds since 1970, so a
// time before 1970 with a fraction has mtime_s rounded down: -0.25 s is {-1, 750'000'000}.
struct EntryHeader {
  std::string_view name{};
  int64_t size = 0;     // bytes of body
  int64_t mode = 0600;  // permission, set-id and sticky bits: 0 to 07777
  int64_t mtime_s = 0;
  uint32_t mtime_ns = 0;  // 0 to 999'999'999
  int64_t uid = 0;
  int64_t gid = 0;
  std::string_view uname{};
  std::string_view gname{};
  std::string_view linkname{};
  char typeflag = '0';
  int64_t devmajor = 0;
  int64_t devminor = 0;
  // Where the name, the linkname or the caller's records need pax: whether both names are records
  // then and their fields hold a stand-in. tar-stream's layout, for its drop-in; otherwise each
  // name that fits stays in its field.
  bool names_in_pax = false;
  std::span<const PaxRecord> pax{};  // the caller's own records, written in this order after ours
};

}  // namespace tarspout::tar
