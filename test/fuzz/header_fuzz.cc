// libFuzzer target: any header gives blocks a strict reader takes back as they were, or reasons.
// Run by scripts/fuzz.sh.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tar/header.h"
#include "tar/octal.h"

namespace {

namespace tar = tarspout::tar;

void Require(bool ok) {
  if (!ok) std::abort();
}

// Takes the input apart. What is missing reads as zeros.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : left_(reinterpret_cast<const char*>(data), size) {}

  template <typename T>
  T Number() {
    T value{};
    const size_t bytes = std::min(sizeof value, left_.size());
    std::memcpy(&value, left_.data(), bytes);
    left_.remove_prefix(bytes);
    return value;
  }

  // Half of the numbers are near the limits, where a random one hardly ever is.
  int64_t Integer() {
    static constexpr int64_t kNear[] = {
        0, 0777, 07777, 1 << 18, tar::kMaxOctal7, tar::kMaxOctal11, INT64_MAX, INT64_MIN};
    const uint8_t choice = Number<uint8_t>();
    if (choice < 128) return Number<int64_t>();
    const uint64_t near = static_cast<uint64_t>(kNear[choice % std::size(kNear)]);
    return static_cast<int64_t>(near + static_cast<uint64_t>(Number<int8_t>()));
  }

  std::string_view Text() {
    const size_t bytes = std::min<size_t>(Number<uint16_t>() % 600, left_.size());
    const std::string_view text = left_.substr(0, bytes);
    left_.remove_prefix(bytes);
    return text;
  }

 private:
  std::string_view left_;
};

uint64_t Octal(std::string_view block, tar::BlockField field) {
  uint64_t value = 0;
  size_t i = field.offset;
  for (; i < field.end() && block[i] >= '0' && block[i] <= '7'; ++i)
    value = value * 8 + static_cast<uint64_t>(block[i] - '0');
  Require(i < field.end());  // every number ends inside its field
  for (; i < field.end(); ++i) Require(block[i] == ' ' || block[i] == 0);
  return value;
}

std::string_view Text(std::string_view block, tar::BlockField field) {
  const std::string_view text = block.substr(field.offset, field.width);
  const size_t nul = text.find('\0');
  if (nul == std::string_view::npos) return text;
  for (const char c : text.substr(nul)) Require(c == 0);
  return text.substr(0, nul);
}

void CheckBlock(std::string_view block) {
  uint64_t sum = 0;
  for (size_t i = 0; i < tar::kBlockSize; ++i) {
    const bool in_field = i >= tar::kChecksumField.offset && i < tar::kChecksumField.end();
    sum += in_field ? ' ' : static_cast<uint8_t>(block[i]);
  }
  Require(Octal(block, tar::kChecksumField) == sum);
  Require(block.substr(tar::kMagicField.offset, 8) == std::string_view("ustar\0"
                                                                       "00",
                                                                       8));
  for (const char c : block.substr(tar::kPrefixField.end())) Require(c == 0);
}

struct Found {
  std::string name, linkname, uname, gname, size, mtime, uid, gid;
};

// A strict reader: the block's fields, then the records in order, each of which must parse.
Found Read(std::string_view bytes) {
  const std::string_view main = bytes.substr(bytes.size() - tar::kBlockSize);
  CheckBlock(main);
  Found found;
  found.name = Text(main, tar::kNameField);
  const std::string_view prefix = Text(main, tar::kPrefixField);
  if (!prefix.empty()) found.name = std::string(prefix) + "/" + found.name;
  found.linkname = Text(main, tar::kLinknameField);
  found.uname = Text(main, tar::kUnameField);
  found.gname = Text(main, tar::kGnameField);
  found.size = std::to_string(Octal(main, tar::kSizeField));
  found.mtime = std::to_string(Octal(main, tar::kMtimeField));
  found.uid = std::to_string(Octal(main, tar::kUidField));
  found.gid = std::to_string(Octal(main, tar::kGidField));
  if (bytes.size() == tar::kBlockSize) return found;

  CheckBlock(bytes.substr(0, tar::kBlockSize));
  Require(bytes[tar::kTypeflagField.offset] == 'x');
  const size_t size = Octal(bytes, tar::kSizeField);
  Require(bytes.size() == 2 * tar::kBlockSize + size + tar::PaddingBytes(size));
  for (const char c : bytes.substr(tar::kBlockSize + size, tar::PaddingBytes(size)))
    Require(c == 0);
  std::string_view records = bytes.substr(tar::kBlockSize, size);
  while (!records.empty()) {
    size_t length = 0;
    size_t digits = 0;
    for (; records[digits] != ' '; ++digits)
      length = length * 10 + static_cast<size_t>(records[digits] - '0');
    Require(length <= records.size() && records[length - 1] == '\n');
    const std::string_view record = records.substr(digits + 1, length - digits - 2);
    records.remove_prefix(length);
    const size_t equals = record.find('=');
    Require(equals != std::string_view::npos && equals > 0);
    const std::string_view key = record.substr(0, equals);
    const std::string value(record.substr(equals + 1));
    if (key == "path") found.name = value;
    if (key == "linkpath") found.linkname = value;
    if (key == "size") found.size = value;
    if (key == "mtime") found.mtime = value;
    if (key == "uid") found.uid = value;
    if (key == "gid") found.gid = value;
    if (key == "uname") found.uname = value;
    if (key == "gname") found.gname = value;
  }
  return found;
}

std::string TimeText(int64_t seconds, uint32_t nanoseconds) {
  __int128 total = static_cast<__int128>(seconds) * 1'000'000'000 + nanoseconds;
  const bool negative = total < 0;
  if (negative) total = -total;
  std::string text = std::to_string(static_cast<uint64_t>(total / 1'000'000'000));
  std::string fraction =
      std::to_string(static_cast<uint64_t>(total % 1'000'000'000) + 1'000'000'000).substr(1);
  while (!fraction.empty() && fraction.back() == '0') fraction.pop_back();
  if (!fraction.empty()) text += "." + fraction;
  return negative ? "-" + text : text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  tar::EntryHeader header;
  const uint8_t shape = input.Number<uint8_t>();
  header.typeflag = static_cast<char>('0' + shape % 8);
  if (shape >= 240) header.typeflag = static_cast<char>(input.Number<uint8_t>());
  header.names_in_pax = (shape & 8) != 0;
  header.size = tar::IsBodyless(header.typeflag) && (shape & 16) ? 0 : input.Integer();
  header.mode = (shape & 32) ? 0644 : input.Integer();
  header.mtime_s = input.Integer();
  header.mtime_ns = input.Number<uint32_t>() % 1'100'000'000;
  if (shape & 64) header.mtime_ns = 0;
  header.uid = input.Integer();
  header.gid = input.Integer();
  header.name = input.Text();
  header.linkname = input.Text();
  header.uname = input.Text();
  header.gname = input.Text();
  std::vector<tar::PaxRecord> pax;
  for (uint8_t count = input.Number<uint8_t>() % 4; count > 0; --count) {
    const std::string_view key = input.Text();
    pax.push_back({key, input.Text()});
  }
  header.pax = pax;

  const tar::Decision decision = tar::Decide(header);
  Require((decision.format == tar::Format::kNone) == (decision.fault_count > 0));
  std::string bytes(decision.header_bytes, '\xee');
  if (decision.format != tar::Format::kNone) {
    const std::span<uint8_t> out(reinterpret_cast<uint8_t*>(bytes.data()), bytes.size());
    Require(tar::EncodeHeader(header, decision, out) == bytes.size());
    const Found found = Read(bytes);
    const auto given = [&](std::string_view key) {
      for (const tar::PaxRecord& record : pax) {
        if (record.key == key) return true;
      }
      return false;
    };
    Require(found.name == header.name);
    Require(found.linkname == header.linkname);
    Require(found.size == std::to_string(header.size));
    Require(given("uname") || found.uname == header.uname);
    Require(given("gname") || found.gname == header.gname);
    Require(given("uid") || found.uid == std::to_string(header.uid));
    Require(given("gid") || found.gid == std::to_string(header.gid));
    Require(given("mtime") || found.mtime == TimeText(header.mtime_s, header.mtime_ns));
  }

  // The template agrees, or declines exactly where the general path needs more than ustar.
  tar::HeaderTemplate block;
  const bool set = block.Set(header);
  uint8_t out[tar::kBlockSize];
  const bool written = set && block.Encode(header.name, header.size, out);
  Require(written == (decision.format == tar::Format::kUstar));
  if (written) Require(std::memcmp(out, bytes.data(), sizeof out) == 0);
  return 0;
}
