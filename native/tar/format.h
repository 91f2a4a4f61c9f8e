// The one decision of this folder: which format can hold an entry, or every reason why none can.
// Pure.
//
// The order is ustar, then pax. A field that fits the ustar block stays there, so that a reader
// without pax sees as much as can be seen; what does not fit becomes a pax record; what no record
// can hold is a fault. Nothing is clamped, cut or zero-filled. The table is in docs/format.md.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tar/entry_header.h"

namespace tarspout::tar {

enum class Field : uint8_t {
  kName,
  kLinkname,
  kSize,
  kMtime,
  kUid,
  kGid,
  kUname,
  kGname,
  kMode,
  kType,
  kDevmajor,
  kDevminor,
  kPax,
};
inline constexpr size_t kFieldCount = 13;

enum class Reason : uint8_t {
  kEmpty,
  kNul,
  kTrailingSlash,
  kNoLinkname,
  kBodyless,
  kNegative,
  kModeRange,
  kDeviceRange,
  kNanosecondRange,
  kTypeRefused,
  kPaxKey,
  kPaxOwned,
  kPaxEmpty,
  kPaxNul,
  kPaxDecimal,
  kPaxTime,
  kPaxBytes,
};

// The field's name in the public Entry type.
std::string_view FieldName(Field field);
// What the field must be, as the end of a sentence that begins with its name.
std::string_view ReasonText(Reason reason);

struct Fault {
  Field field;
  Reason reason;
  uint32_t record;  // kPax: which of the caller's records
};

enum class Format : uint8_t { kNone, kUstar, kPax };

struct Decision {
  static constexpr size_t kMaxFaults = 24;

  Format format = Format::kNone;
  uint16_t records = 0;  // bit (1 << Field): this field becomes a pax record
  size_t prefix_bytes =
      0;                 // of the name, before the slash that ustar drops; 0: the name is not split
  size_t pax_bytes = 0;  // of all pax records, before padding
  size_t header_bytes = 0;  // of all header blocks, pax blocks included; 0 where format is kNone
  size_t fault_count = 0;   // faults beyond kMaxFaults are not listed
  std::array<Fault, kMaxFaults> faults;

  bool NeedsRecord(Field field) const { return (records >> static_cast<unsigned>(field)) & 1; }
};

Decision Decide(const EntryHeader& header);

// Where ustar splits a name of more than 100 bytes: the first slash with a part of 1 to 155 bytes
// before it and of 1 to 100 bytes behind it. Returns the bytes before, 0 if there is none.
size_t SplitName(std::string_view name);

// Whether an entry of this typeflag is a header without a body.
constexpr bool IsBodyless(char typeflag) { return typeflag >= '1' && typeflag <= '6'; }

}  // namespace tarspout::tar
