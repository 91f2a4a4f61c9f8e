#include "tar/format.h"

#include "tar/block.h"
#include "tar/octal.h"
#include "tar/pax.h"
#include "tar/records.h"
#include "tar/text.h"

namespace tarspout::tar {

namespace {

constexpr int64_t kMaxMode = 07777;
constexpr uint32_t kNanosecondsPerSecond = 1'000'000'000;

// POSIX also leaves the capitals to implementations, but readers disagree on those: GNU tar and
// Solaris tar have taken some, bsdtar and busybox give up on the others. 'x' and 'g' are headers of
// headers, not entries.
bool IsTypeflag(char typeflag) { return typeflag >= '0' && typeflag <= '7'; }

class Decider {
 public:
  explicit Decider(const EntryHeader& header) : header_(header) {}

  Decision Run() {
    CheckType();
    CheckName();
    CheckText(Field::kLinkname, header_.linkname, kLinknameField.width);
    // POSIX wants these two terminated by a NUL, unlike name, prefix and linkname.
    CheckText(Field::kUname, header_.uname, kUnameField.width - 1);
    CheckText(Field::kGname, header_.gname, kGnameField.width - 1);
    CheckNumber(Field::kSize, header_.size, kMaxOctal11);
    CheckNumber(Field::kUid, header_.uid, kMaxOctal7);
    CheckNumber(Field::kGid, header_.gid, kMaxOctal7);
    CheckMtime();
    if (header_.mode < 0 || header_.mode > kMaxMode) Fail(Field::kMode, Reason::kModeRange);
    if (!FitsOctal7(header_.devmajor)) Fail(Field::kDevmajor, Reason::kDeviceRange);
    if (!FitsOctal7(header_.devminor)) Fail(Field::kDevminor, Reason::kDeviceRange);
    for (size_t i = 0; i < header_.pax.size(); ++i) CheckRecord(static_cast<uint32_t>(i));
    if (header_.names_in_pax) MoveNames();
    if (decision_.fault_count == 0) Measure();
    return decision_;
  }

 private:
  void Fail(Field field, Reason reason, uint32_t record = 0) {
    if (decision_.fault_count < Decision::kMaxFaults) {
      decision_.faults[decision_.fault_count++] = {field, reason, record};
    }
  }

  void Record(Field field) {
    decision_.records =
        static_cast<uint16_t>(decision_.records | 1u << static_cast<unsigned>(field));
  }

  void CheckType() {
    const char typeflag = header_.typeflag;
    if (!IsTypeflag(typeflag)) Fail(Field::kType, Reason::kTypeRefused);
    if (IsBodyless(typeflag) && header_.size > 0) Fail(Field::kSize, Reason::kBodyless);
    if ((typeflag == '1' || typeflag == '2') && header_.linkname.empty()) {
      Fail(Field::kLinkname, Reason::kNoLinkname);
    }
  }

  void CheckName() {
    const std::string_view name = header_.name;
    if (name.empty()) return Fail(Field::kName, Reason::kEmpty);
    if (HasNul(name)) return Fail(Field::kName, Reason::kNul);
    // Readers since the 1980s take such a name for a directory, whatever the typeflag says.
    if (name.ends_with('/') && header_.typeflag != '5') Fail(Field::kName, Reason::kTrailingSlash);
    const bool plain =
        name.size() <= kNameField.width + 1 + kPrefixField.width && ScanText(name).plain;
    if (plain && name.size() <= kNameField.width) return;
    if (plain) decision_.prefix_bytes = SplitName(name);
    if (decision_.prefix_bytes == 0) Record(Field::kName);
  }

  void CheckText(Field field, std::string_view text, size_t limit) {
    if (HasNul(text)) return Fail(field, Reason::kNul);
    if (text.size() > limit || !ScanText(text).plain) Record(field);
  }

  void CheckNumber(Field field, int64_t value, int64_t limit) {
    if (value < 0) return Fail(field, Reason::kNegative);
    if (value > limit) Record(field);
  }

  void CheckMtime() {
    if (header_.mtime_ns >= kNanosecondsPerSecond)
      return Fail(Field::kMtime, Reason::kNanosecondRange);
    if (header_.mtime_ns != 0 || !FitsOctal11(header_.mtime_s)) Record(Field::kMtime);
  }

  void CheckRecord(uint32_t index) {
    const PaxRecord& record = header_.pax[index];
    const std::string_view key = record.key;
    const auto fail = [&](Reason reason) { Fail(Field::kPax, reason, index); };
    if (key.empty() || key.find('=') != std::string_view::npos || HasNul(key))
      return fail(Reason::kPaxKey);
    // These say where the body ends and what it is called: a second opinion would be an attack on
    // some reader.
    if (key == "path" || key == "linkpath" || key == "size") return fail(Reason::kPaxOwned);
    // An empty value says "as in the header block", where a stand-in may be: not for the keys that
    // stand for a field.
    if (key == "uid" || key == "gid") {
      if (!IsPaxDecimal(record.value)) fail(Reason::kPaxDecimal);
    } else if (key == "mtime" || key == "atime" || key == "ctime") {
      if (!IsPaxTime(record.value)) fail(Reason::kPaxTime);
    } else if (key == "uname" || key == "gname") {
      if (record.value.empty()) fail(Reason::kPaxEmpty);
      if (HasNul(record.value)) fail(Reason::kPaxNul);
    }
  }

  void MoveNames() {
    const bool needed =
        decision_.NeedsRecord(Field::kName) || decision_.NeedsRecord(Field::kLinkname);
    if (!needed && header_.pax.empty()) return;
    Record(Field::kName);
    decision_.prefix_bytes = 0;
    if (!header_.linkname.empty()) Record(Field::kLinkname);
  }

  void Measure() {
    size_t bytes = 0;
    ForEachRecord(header_, decision_.records, [&](PaxRecord record) {
      bytes += PaxRecordBytes(record.key.size(), record.value.size());
    });
    if (bytes > kMaxPaxBytes) return Fail(Field::kPax, Reason::kPaxBytes);
    decision_.pax_bytes = bytes;
    decision_.format = bytes == 0 ? Format::kUstar : Format::kPax;
    decision_.header_bytes =
        kBlockSize + (bytes == 0 ? 0 : kBlockSize + bytes + PaddingBytes(bytes));
  }

  const EntryHeader& header_;
  Decision decision_;
};

}  // namespace

Decision Decide(const EntryHeader& header) { return Decider(header).Run(); }

size_t SplitName(std::string_view name) {
  // The part behind the slash decides how far left the slash may be; slash 0 would leave an empty
  // prefix, which readers take for no prefix, and the name would lose its leading slash.
  const size_t tail = kNameField.width + 1;
  const size_t from = name.size() > tail + 1 ? name.size() - tail : 1;
  const size_t slash = name.find('/', from);
  if (slash == std::string_view::npos || slash > kPrefixField.width || slash + 1 == name.size())
    return 0;
  return slash;
}

std::string_view FieldName(Field field) {
  static constexpr std::string_view kNames[kFieldCount] = {
      "name",  "linkname", "size", "mtime",    "uid",      "gid", "uname",
      "gname", "mode",     "type", "devmajor", "devminor", "pax",
  };
  return kNames[static_cast<size_t>(field)];
}

std::string_view ReasonText(Reason reason) {
  switch (reason) {
    case Reason::kEmpty:
      return "must not be empty";
    case Reason::kNul:
      return "must not contain a NUL";
    case Reason::kTrailingSlash:
      return "must not end in a slash, which makes it a directory to every reader, unless the type "
             "is 'directory'";
    case Reason::kNoLinkname:
      return "must name the target of a link or symlink";
    case Reason::kBodyless:
      return "must be 0 for this type, which has no body";
    case Reason::kNegative:
      return "must not be negative";
    case Reason::kModeRange:
      return "must be 0 to 0o7777 (of fs.Stats, mode & 0o7777)";
    case Reason::kDeviceRange:
      return "must be 0 to 2097151: neither ustar nor pax holds more";
    case Reason::kNanosecondRange:
      return "must have 0 to 999999999 nanoseconds";
    case Reason::kTypeRefused:
      return "must be one of the type words or '0' to '7'";
    case Reason::kPaxKey:
      return "must have keys that are not empty and hold neither '=' nor NUL";
    case Reason::kPaxOwned:
      return "must not hold path, linkpath or size: set name, linkname or size";
    case Reason::kPaxEmpty:
      return "must not hold an empty uname or gname: leave the record out";
    case Reason::kPaxNul:
      return "must not hold a NUL in uname or gname";
    case Reason::kPaxDecimal:
      return "must hold uid and gid as decimal digits";
    case Reason::kPaxTime:
      return "must hold times as decimal seconds, such as -1.5";
    case Reason::kPaxBytes:
      return "must make at most 1000000 bytes of records together with what the other fields need";
  }
  return "";
}

}  // namespace tarspout::tar
