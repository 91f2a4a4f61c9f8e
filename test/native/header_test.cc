// Headers: the format decision at both edges of every limit, and the bytes that follow from it.
#include "tar/header.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "check.h"
#include "tar/pax.h"

namespace {

using tarspout::tar::BlockField;
using tarspout::tar::Decide;
using tarspout::tar::Decision;
using tarspout::tar::EncodeHeader;
using tarspout::tar::EntryHeader;
using tarspout::tar::Field;
using tarspout::tar::Format;
using tarspout::tar::HeaderTemplate;
using tarspout::tar::kBlockSize;
using tarspout::tar::PaxNumber;
using tarspout::tar::PaxRecord;
using tarspout::tar::Reason;

constexpr int64_t kGiB = int64_t{1} << 30;

std::string Repeat(char c, size_t count) { return std::string(count, c); }

std::string Encoded(const EntryHeader& header) {
  const Decision decision = Decide(header);
  if (decision.format == Format::kNone) return "";
  std::string out(decision.header_bytes, '\xee');
  EncodeHeader(header, decision, {reinterpret_cast<uint8_t*>(out.data()), out.size()});
  return out;
}

std::string FieldOf(std::string_view block, BlockField field) {
  return std::string(block.substr(field.offset, field.width));
}

int64_t Octal(std::string_view block, BlockField field) {
  return std::strtoll(FieldOf(block, field).c_str(), nullptr, 8);
}

// As a reader computes it: the checksum field counts as eight spaces.
bool HasChecksum(std::string_view block) {
  int64_t sum = 8 * ' ';
  for (size_t i = 0; i < kBlockSize; ++i) {
    const bool in_field =
        i >= tarspout::tar::kChecksumField.offset && i < tarspout::tar::kChecksumField.end();
    if (!in_field) sum += static_cast<uint8_t>(block[i]);
  }
  return Octal(block, tarspout::tar::kChecksumField) == sum;
}

std::string_view LastBlock(const std::string& bytes) {
  return std::string_view(bytes).substr(bytes.size() - kBlockSize);
}

// The pax records of an encoded header, without the padding.
std::string PaxOf(const std::string& bytes) {
  if (bytes.size() <= kBlockSize) return "";
  return bytes.substr(kBlockSize, static_cast<size_t>(Octal(bytes, tarspout::tar::kSizeField)));
}

bool FailsOnly(const EntryHeader& header, Field field, Reason reason) {
  const Decision decision = Decide(header);
  return decision.format == Format::kNone && decision.header_bytes == 0 &&
         decision.fault_count == 1 && decision.faults[0].field == field &&
         decision.faults[0].reason == reason;
}

bool IsPlain(const EntryHeader& header) { return Decide(header).format == Format::kUstar; }

// Exactly these fields become records.
bool Needs(const EntryHeader& header, std::initializer_list<Field> fields) {
  const Decision decision = Decide(header);
  uint16_t wanted = 0;
  for (const Field field : fields)
    wanted = static_cast<uint16_t>(wanted | 1u << static_cast<unsigned>(field));
  return decision.format == Format::kPax && decision.records == wanted;
}

TEST("a plain header is this block, byte for byte") {
  std::string want(kBlockSize, '\0');
  const auto put = [&](size_t at, std::string_view text) { want.replace(at, text.size(), text); };
  put(0, "topic-0-17");
  put(100, std::string_view("000600 \0", 8));
  put(108, std::string_view("000000 \0", 8));
  put(116, std::string_view("000000 \0", 8));
  put(124, "00000000144 ");
  put(136, "00000000000 ");
  put(148, std::string_view("010577 \0", 8));
  put(156, "0");
  put(257, std::string_view("ustar\0"
                            "00",
                            8));
  put(329, std::string_view("000000 \0", 8));
  put(337, std::string_view("000000 \0", 8));
  EntryHeader header;
  header.name = "topic-0-17";
  header.size = 100;
  const std::string got = Encoded(header);
  CHECK(got == want);
  CHECK(HasChecksum(got));
}

TEST("a name is in the header up to 100 bytes, split up to 155 + 100, and a record beyond") {
  EntryHeader header;
  for (const size_t bytes : {1, 99, 100}) {
    const std::string name = Repeat('n', bytes);
    header.name = name;
    CHECK(IsPlain(header));
    CHECK(FieldOf(Encoded(header), tarspout::tar::kNameField).substr(0, bytes) == name);
  }
  const std::string unsplittable = Repeat('n', 101);
  header.name = unsplittable;
  CHECK(Needs(header, {Field::kName}));
  CHECK(PaxOf(Encoded(header)) == "111 path=" + unsplittable + "\n");

  for (const size_t prefix : {1, 154, 155, 156}) {
    for (const size_t tail : {99, 100, 101}) {
      const std::string name = Repeat('p', prefix) + "/" + Repeat('t', tail);
      if (name.size() <= 100) continue;
      header.name = name;
      const bool fits = prefix <= 155 && tail <= 100;
      CHECK(IsPlain(header) == fits);
      CHECK(Needs(header, {Field::kName}) == !fits);
      if (!fits) continue;
      const std::string block = Encoded(header);
      CHECK(FieldOf(block, tarspout::tar::kPrefixField).c_str() == Repeat('p', prefix));
      CHECK(FieldOf(block, tarspout::tar::kNameField).substr(0, tail) == Repeat('t', tail));
      CHECK(HasChecksum(block));
    }
  }
}

TEST("a split leaves something on both sides and keeps every other slash") {
  EntryHeader header;
  header.typeflag = '5';
  const std::string only_last = Repeat('d', 100) + "/";
  header.name = only_last;
  CHECK(Needs(header, {Field::kName}));
  const std::string absolute = "/" + Repeat('d', 100);
  header.name = absolute;
  CHECK(Needs(header, {Field::kName}));
  const std::string doubled = Repeat('d', 60) + "//" + Repeat('e', 60);
  header.name = doubled;
  CHECK(FieldOf(Encoded(header), tarspout::tar::kPrefixField).c_str() == Repeat('d', 60));
  CHECK(FieldOf(Encoded(header), tarspout::tar::kNameField).c_str() == "/" + Repeat('e', 60));
}

TEST("length counts bytes: 34 characters of three bytes are 102") {
  EntryHeader header;
  std::string name;
  for (int i = 0; i < 34; ++i) name += "\xe6\x97\xa5";
  header.name = name;
  CHECK(PaxOf(Encoded(header)) == "112 path=" + name + "\n");
}

TEST("non-ASCII text is a record whatever its length, in every text field") {
  EntryHeader header;
  header.name = "\xc3\xa9";
  CHECK(Needs(header, {Field::kName}));
  header = {.name = "a", .uname = "\xc3\xa9"};
  CHECK(Needs(header, {Field::kUname}));
  header = {.name = "a", .gname = "\xc3\xa9"};
  CHECK(Needs(header, {Field::kGname}));
  header = {.name = "a", .linkname = "\xc3\xa9", .typeflag = '2'};
  CHECK(Needs(header, {Field::kLinkname}));
  CHECK(PaxOf(Encoded(header)) == "15 linkpath=\xc3\xa9\n");
}

TEST("uname and gname hold 31 bytes, linkname 100") {
  for (const size_t bytes : {30, 31, 32}) {
    const std::string text = Repeat('u', bytes);
    CHECK(IsPlain({.name = "a", .uname = text}) == (bytes <= 31));
    CHECK(IsPlain({.name = "a", .gname = text}) == (bytes <= 31));
  }
  for (const size_t bytes : {99, 100, 101}) {
    const std::string text = Repeat('l', bytes);
    CHECK(IsPlain({.name = "a", .linkname = text, .typeflag = '1'}) == (bytes <= 100));
  }
}

TEST("a size is octal below 8 GiB and a record from there") {
  for (const int64_t limit : {2 * kGiB, 4 * kGiB, 8 * kGiB}) {
    for (const int64_t size : {limit - 1, limit, limit + 1}) {
      const EntryHeader header{.name = "a", .size = size};
      const std::string bytes = Encoded(header);
      const bool fits = size < 8 * kGiB;
      CHECK(IsPlain(header) == fits);
      CHECK(Octal(LastBlock(bytes), tarspout::tar::kSizeField) == (fits ? size : 0));
      CHECK(PaxOf(bytes) == (fits ? "" : "19 size=" + std::to_string(size) + "\n"));
    }
  }
  CHECK(PaxOf(Encoded({.name = "a", .size = INT64_MAX})) == "28 size=9223372036854775807\n");
  CHECK(FailsOnly({.name = "a", .size = -1}, Field::kSize, Reason::kNegative));
}

TEST("ids are octal up to 2097151 and a record beyond; 262143 is the last with a space behind it") {
  for (const int64_t id : {int64_t{0}, int64_t{262143}, int64_t{262144}, int64_t{2097151}}) {
    const EntryHeader header{.name = "a", .uid = id, .gid = id};
    CHECK(IsPlain(header));
    const std::string block = Encoded(header);
    CHECK(Octal(block, tarspout::tar::kUidField) == id);
    CHECK(Octal(block, tarspout::tar::kGidField) == id);
    CHECK((block[tarspout::tar::kUidField.offset + 6] == ' ') == (id <= 262143));
    CHECK(block[tarspout::tar::kUidField.offset + 7] == 0);
    CHECK(HasChecksum(block));
  }
  const EntryHeader big{.name = "a", .uid = 2097152, .gid = INT64_MAX};
  CHECK(Needs(big, {Field::kUid, Field::kGid}));
  CHECK(PaxOf(Encoded(big)) == "15 uid=2097152\n27 gid=9223372036854775807\n");
  CHECK(FailsOnly({.name = "a", .uid = -1}, Field::kUid, Reason::kNegative));
  CHECK(FailsOnly({.name = "a", .gid = -1}, Field::kGid, Reason::kNegative));
}

TEST("a time is octal from 1970 to 2242 in whole seconds, and a record otherwise") {
  constexpr int64_t kLast = 8589934591;
  for (const int64_t time : {int64_t{0}, int64_t{2147483647}, int64_t{2147483648}, kLast}) {
    const EntryHeader header{.name = "a", .mtime_s = time};
    CHECK(IsPlain(header));
    CHECK(Octal(Encoded(header), tarspout::tar::kMtimeField) == time);
  }
  const auto record = [](int64_t seconds, uint32_t nanoseconds) {
    return PaxOf(Encoded({.name = "a", .mtime_s = seconds, .mtime_ns = nanoseconds}));
  };
  CHECK(record(kLast + 1, 0) == "20 mtime=8589934592\n");
  CHECK(record(-1, 0) == "12 mtime=-1\n");
  CHECK(record(-3600, 500'000'000) == "17 mtime=-3599.5\n");
  CHECK(record(-1, 750'000'000) == "15 mtime=-0.25\n");
  CHECK(record(0, 1) == "21 mtime=0.000000001\n");
  CHECK(record(1, 999'999'999) == "21 mtime=1.999999999\n");
  CHECK(PaxNumber(INT64_MIN, 0).text() == "-9223372036854775808");
  CHECK(PaxNumber(INT64_MIN, 1).text() == "-9223372036854775807.999999999");
  CHECK(PaxNumber(INT64_MIN).text() == "-9223372036854775808");
  // The whole seconds stay in the block for readers without pax.
  CHECK(Octal(LastBlock(Encoded({.name = "a", .mtime_s = 5, .mtime_ns = 1})),
              tarspout::tar::kMtimeField) == 5);
  CHECK(
      FailsOnly({.name = "a", .mtime_ns = 1'000'000'000}, Field::kMtime, Reason::kNanosecondRange));
}

TEST("mode and device numbers fit or fail: no record holds them") {
  CHECK(IsPlain({.name = "a", .mode = 07777}));
  CHECK(FailsOnly({.name = "a", .mode = 010000}, Field::kMode, Reason::kModeRange));
  CHECK(FailsOnly({.name = "a", .mode = -1}, Field::kMode, Reason::kModeRange));
  const EntryHeader device{.name = "a", .typeflag = '3', .devmajor = 2097151, .devminor = 8};
  CHECK(IsPlain(device));
  CHECK(Octal(Encoded(device), tarspout::tar::kDevmajorField) == 2097151);
  CHECK(Octal(Encoded(device), tarspout::tar::kDevminorField) == 8);
  CHECK(FailsOnly({.name = "a", .typeflag = '3', .devmajor = 2097152}, Field::kDevmajor,
                  Reason::kDeviceRange));
  CHECK(FailsOnly({.name = "a", .typeflag = '3', .devminor = -1}, Field::kDevminor,
                  Reason::kDeviceRange));
}

TEST("of all 256 typeflags, '0' to '7' are entries") {
  const std::string_view allowed = "01234567";
  for (int flag = 0; flag < 256; ++flag) {
    const EntryHeader header{.name = "a", .linkname = "b", .typeflag = static_cast<char>(flag)};
    const bool want = flag != 0 && allowed.find(static_cast<char>(flag)) != std::string_view::npos;
    CHECK(IsPlain(header) == want);
    CHECK(FailsOnly(header, Field::kType, Reason::kTypeRefused) == !want);
  }
}

TEST("what no tar can hold is refused, and every reason is given") {
  CHECK(FailsOnly({.name = ""}, Field::kName, Reason::kEmpty));
  CHECK(FailsOnly({.name = std::string_view("a\0b", 3)}, Field::kName, Reason::kNul));
  CHECK(FailsOnly({.name = "a/"}, Field::kName, Reason::kTrailingSlash));
  CHECK(IsPlain({.name = "a/", .typeflag = '5'}));
  CHECK(FailsOnly({.name = "a", .typeflag = '2'}, Field::kLinkname, Reason::kNoLinkname));
  for (const char flag : {'1', '2', '3', '4', '5', '6'}) {
    CHECK(FailsOnly({.name = "a", .size = 1, .linkname = "b", .typeflag = flag}, Field::kSize,
                    Reason::kBodyless));
  }
  const EntryHeader wrong{
      .name = "", .size = -1, .mode = -1, .uid = -1, .gid = -1, .typeflag = 'g'};
  CHECK(Decide(wrong).fault_count == 6);
  for (size_t i = 0; i < Decide(wrong).fault_count; ++i) {
    CHECK(!FieldName(Decide(wrong).faults[i].field).empty());
    CHECK(!ReasonText(Decide(wrong).faults[i].reason).empty());
  }
}

TEST("more faults than are listed do no harm") {
  std::vector<PaxRecord> records(100, PaxRecord{"", ""});
  const EntryHeader header{.name = "a", .pax = records};
  CHECK(Decide(header).fault_count == Decision::kMaxFaults);
  CHECK(Decide(header).faults[23].record == 23);
}

TEST("the length of a record counts itself, across every power of ten") {
  for (size_t value = 0; value < 10'100; ++value) {
    const size_t bytes = tarspout::tar::PaxRecordBytes(4, value);
    CHECK(bytes == std::to_string(bytes).size() + 4 + value + 3);
  }
}

TEST("the caller's records follow ours in their order, and stand for a field of their key") {
  const PaxRecord records[] = {
      {"comment", "z"}, {"mtime", "1.5"}, {"atime", "-2"}, {"VENDOR.k", "a\nb"}};
  const EntryHeader header{.name = "\xc3\xa9", .mtime_ns = 1, .pax = records};
  CHECK(PaxOf(Encoded(header)) ==
        "11 path=\xc3\xa9\n13 comment=z\n13 mtime=1.5\n12 atime=-2\n16 VENDOR.k=a\nb\n");
}

TEST("a record that would contradict the header or break a reader is refused") {
  const struct {
    PaxRecord record;
    Reason reason;
  } rows[] = {
      {{"path", "b"}, Reason::kPaxOwned},   {{"linkpath", "b"}, Reason::kPaxOwned},
      {{"size", "1"}, Reason::kPaxOwned},   {{"", "b"}, Reason::kPaxKey},
      {{"a=b", "c"}, Reason::kPaxKey},      {{std::string_view("a\0", 2), "c"}, Reason::kPaxKey},
      {{"uid", "-1"}, Reason::kPaxDecimal}, {{"gid", "0x1"}, Reason::kPaxDecimal},
      {{"uid", ""}, Reason::kPaxDecimal},   {{"mtime", "1e3"}, Reason::kPaxTime},
      {{"atime", "1."}, Reason::kPaxTime},  {{"ctime", "-"}, Reason::kPaxTime},
      {{"uname", ""}, Reason::kPaxEmpty},   {{"gname", std::string_view("\0", 1)}, Reason::kPaxNul},
  };
  for (const auto& row : rows) {
    CHECK(FailsOnly({.name = "a", .pax = {&row.record, 1}}, Field::kPax, row.reason));
  }
}

TEST("records of a million bytes are written, one byte more is refused") {
  constexpr size_t kMost = 1'000'000;
  constexpr size_t kFirst = 500'000;
  constexpr size_t kOverhead = 6 + 4;  // "500000", then space, one-letter key, '=', newline
  for (const size_t bytes : {kMost - 1, kMost, kMost + 1}) {
    const std::string first = Repeat('v', kFirst - kOverhead);
    const std::string second = Repeat('w', bytes - kFirst - kOverhead);
    const PaxRecord records[] = {{"j", first}, {"k", second}};
    const EntryHeader header{.name = "a", .pax = records};
    if (bytes <= kMost) {
      CHECK(Decide(header).pax_bytes == bytes);
      CHECK(Encoded(header).size() == 2 * kBlockSize + kMost + tarspout::tar::PaddingBytes(kMost));
    } else {
      CHECK(FailsOnly(header, Field::kPax, Reason::kPaxBytes));
    }
  }
}

TEST("pax headers carry the fields that fit, padded with zeros, with a right checksum") {
  const std::string link = Repeat('l', 101);
  const EntryHeader header{.name = "\xc3\xa9",
                           .mode = 0755,
                           .mtime_s = 7,
                           .uid = 5,
                           .gid = 2097152,
                           .uname = "u",
                           .linkname = link,
                           .typeflag = '2'};
  const std::string bytes = Encoded(header);
  CHECK(bytes.size() == 3 * kBlockSize);
  CHECK(bytes[156] == 'x');
  CHECK(FieldOf(bytes, tarspout::tar::kNameField).c_str() == std::string("PaxHeader"));
  CHECK(FieldOf(bytes, tarspout::tar::kLinknameField).c_str() == std::string("PaxHeader"));
  const std::string_view main = LastBlock(bytes);
  CHECK(main[156] == '2');
  CHECK(FieldOf(main, tarspout::tar::kNameField).c_str() == std::string("PaxHeader"));
  CHECK(FieldOf(main, tarspout::tar::kLinknameField).c_str() == std::string("PaxHeader"));
  for (const std::string_view block : {std::string_view(bytes).substr(0, kBlockSize), main}) {
    CHECK(Octal(block, tarspout::tar::kModeField) == 0755);
    CHECK(Octal(block, tarspout::tar::kMtimeField) == 7);
    CHECK(Octal(block, tarspout::tar::kUidField) == 5);
    CHECK(Octal(block, tarspout::tar::kGidField) == 0);
    CHECK(HasChecksum(block));
  }
  const std::string records = PaxOf(bytes);
  CHECK(bytes.substr(kBlockSize + records.size(), kBlockSize - records.size()) ==
        std::string(kBlockSize - records.size(), '\0'));
}

TEST(
    "with names_in_pax both names are records as soon as one of them, or a caller's record, needs "
    "pax") {
  const std::string link = Repeat('l', 101);
  const std::string name = Repeat('p', 60) + "/" + Repeat('t', 60);
  const PaxRecord record{"k", "v"};
  EntryHeader header{.name = name, .linkname = "b", .typeflag = '2', .names_in_pax = true};
  CHECK(IsPlain(header));
  header.mtime_ns = 1;
  CHECK(Needs(header, {Field::kMtime}));
  header.mtime_ns = 0;
  header.pax = {&record, 1};
  CHECK(PaxOf(Encoded(header)) == "131 path=" + name + "\n14 linkpath=b\n6 k=v\n");
  CHECK(FieldOf(LastBlock(Encoded(header)), tarspout::tar::kPrefixField).c_str() == std::string());
  header.pax = {};
  header.linkname = link;
  CHECK(Needs(header, {Field::kName, Field::kLinkname}));
  header.linkname = "b";
  header.name = "\xc3\xa9";
  CHECK(Needs(header, {Field::kName, Field::kLinkname}));
}

TEST("a target that is too small is told the need and left alone") {
  const EntryHeader header{.name = "\xc3\xa9"};
  std::vector<uint8_t> out(3 * kBlockSize - 1, 0xee);
  CHECK(EncodeHeader(header, Decide(header), out) == 3 * kBlockSize);
  for (const uint8_t byte : out) CHECK(byte == 0xee);
}

TEST("the template writes what the general path writes, or declines") {
  const std::string names[] = {"a",
                               "topic-0-17",
                               Repeat('n', 99),
                               Repeat('n', 100),
                               Repeat('n', 101),
                               Repeat('p', 60) + "/" + Repeat('t', 60),
                               Repeat('p', 155) + "/" + Repeat('t', 100),
                               Repeat('p', 156) + "/" + Repeat('t', 100),
                               Repeat('p', 155) + "/" + Repeat('t', 101),
                               "/" + Repeat('t', 100),
                               "dir/",
                               "",
                               "\xc3\xa9",
                               std::string("a\0b", 3),
                               std::string("1234567\0", 8),
                               std::string("12345678\0", 9),
                               "1234567\x80",
                               "\x7f\x01\n",
                               Repeat('x', 5000)};
  const int64_t sizes[] = {-1,           0,        1,        511, 512, 2 * kGiB, 4 * kGiB,
                           8 * kGiB - 1, 8 * kGiB, INT64_MAX};
  const EntryHeader fixed[] = {
      {},
      {.mode = 0644, .mtime_s = 1700000000, .uid = 262144, .gid = 1000, .uname = "u", .gname = "g"},
      {.typeflag = '5'},
      {.linkname = "target", .typeflag = '2'},
      {.typeflag = '4', .devmajor = 8, .devminor = 300000}};
  int written = 0;
  int declined = 0;
  for (const EntryHeader& fields : fixed) {
    HeaderTemplate block;
    CHECK(block.Set(fields));
    for (const std::string& name : names) {
      for (const int64_t size : sizes) {
        EntryHeader header = fields;
        header.name = name;
        header.size = size;
        std::vector<uint8_t> out(kBlockSize + 8, 0xee);
        const bool fits = block.Encode(name, size, out.data());
        CHECK(fits == IsPlain(header));
        if (fits) {
          ++written;
          CHECK(std::memcmp(out.data(), Encoded(header).data(), kBlockSize) == 0);
          for (size_t i = kBlockSize; i < out.size(); ++i) CHECK(out[i] == 0xee);
        } else {
          ++declined;
        }
      }
    }
  }
  CHECK(written > 100);
  CHECK(declined > 100);
}

TEST("the template refuses fixed fields that need more than ustar, and keeps what it had") {
  HeaderTemplate block;
  CHECK(block.Set({.mode = 0644}));
  const PaxRecord record{"k", "v"};
  CHECK(!block.Set({.mtime_ns = 1}));
  CHECK(!block.Set({.uid = 2097152}));
  CHECK(!block.Set({.uname = "\xc3\xa9"}));
  CHECK(!block.Set({.pax = {&record, 1}}));
  CHECK(!block.Set({.typeflag = 'x'}));
  CHECK(!block.Set({.mode = -1}));
  std::string out(kBlockSize, '\0');
  CHECK(block.Encode("a", 0, reinterpret_cast<uint8_t*>(out.data())));
  CHECK(out == Encoded({.name = "a", .mode = 0644}));
}

TEST("padding fills up to a block") {
  CHECK(tarspout::tar::PaddingBytes(0) == 0);
  CHECK(tarspout::tar::PaddingBytes(1) == 511);
  CHECK(tarspout::tar::PaddingBytes(511) == 1);
  CHECK(tarspout::tar::PaddingBytes(512) == 0);
  CHECK(tarspout::tar::PaddingBytes(513) == 511);
  CHECK(tarspout::tar::PaddingBytes(static_cast<uint64_t>(8 * kGiB + 1)) == 511);
}

}  // namespace

int main() { return check::RunAll("header"); }
