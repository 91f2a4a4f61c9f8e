// Header encoding for JavaScript. Main thread; calls no JavaScript back.
#include <napi.h>

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "binding/exports.h"
#include "tar/header.h"

namespace tarspout::binding {

namespace {

// The UTF-8 of one call's strings: on the stack while they fit. Views stay valid as long as this
// lives.
class Texts {
 public:
  std::string_view Read(napi_env env, napi_value value) {
    char* at = small_ + used_;
    const size_t room = sizeof small_ - used_;
    size_t bytes = 0;
    napi_get_value_string_utf8(env, value, at, room, &bytes);
    // Node-API cuts at a whole character, so less than one character and the NUL left may mean that
    // it has cut.
    if (room - bytes > kLongestCharacter) {
      used_ += bytes;
      return {at, bytes};
    }
    napi_get_value_string_utf8(env, value, nullptr, 0, &bytes);
    std::string& text = large_.emplace_back(bytes + 1, '\0');
    napi_get_value_string_utf8(env, value, text.data(), bytes + 1, &bytes);
    return {text.data(), bytes};
  }

 private:
  static constexpr size_t kLongestCharacter = 4;

  char small_[1024];
  size_t used_ = 0;
  std::deque<std::string> large_;  // a deque: growing moves no string
};

int64_t ReadInt(napi_env env, napi_value value) {
  int64_t number = 0;
  napi_get_value_int64(env, value, &number);
  return number;
}

// The faults as a flat array: field, reason, record index, field, ...
napi_value FaultsOf(Napi::Env env, const tar::Decision& decision) {
  Napi::Array out = Napi::Array::New(env, decision.fault_count * 3);
  uint32_t at = 0;
  for (size_t i = 0; i < decision.fault_count; ++i) {
    const tar::Fault& fault = decision.faults[i];
    const std::string_view field = tar::FieldName(fault.field);
    const std::string_view reason = tar::ReasonText(fault.reason);
    out.Set(at++, Napi::String::New(env, field.data(), field.size()));
    out.Set(at++, Napi::String::New(env, reason.data(), reason.size()));
    out.Set(at++, Napi::Number::New(env, fault.record));
  }
  return out;
}

// encodeHeader(target, offset, name, linkname, uname, gname, size, mode, mtimeS, mtimeNs, uid, gid,
// typeflag, devmajor, devminor, namesInPax, pax); src/addon.ts has the contract. Arguments of
// another type read as 0 or empty, and nothing is written outside target: that is all that has to
// be safe here.
napi_value EncodeHeader(napi_env env, napi_callback_info info) {
  constexpr size_t kArguments = 17;
  size_t count = kArguments;
  napi_value arguments[kArguments];
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);

  size_t length = 0;
  void* data = nullptr;
  napi_typedarray_type type = napi_uint8_array;
  napi_get_typedarray_info(env, arguments[0], &type, &length, &data, nullptr, nullptr);
  if (type != napi_uint8_array && type != napi_uint8_clamped_array) length = 0;
  const int64_t offset = ReadInt(env, arguments[1]);
  std::span<uint8_t> target;
  if (data != nullptr && offset >= 0 && static_cast<uint64_t>(offset) <= length) {
    target = {static_cast<uint8_t*>(data) + offset, length - static_cast<size_t>(offset)};
  }

  Texts texts;
  tar::EntryHeader header;
  header.name = texts.Read(env, arguments[2]);
  header.linkname = texts.Read(env, arguments[3]);
  header.uname = texts.Read(env, arguments[4]);
  header.gname = texts.Read(env, arguments[5]);
  header.size = ReadInt(env, arguments[6]);
  header.mode = ReadInt(env, arguments[7]);
  header.mtime_s = ReadInt(env, arguments[8]);
  header.mtime_ns = static_cast<uint32_t>(ReadInt(env, arguments[9]));
  header.uid = ReadInt(env, arguments[10]);
  header.gid = ReadInt(env, arguments[11]);
  header.typeflag = static_cast<char>(ReadInt(env, arguments[12]));
  header.devmajor = ReadInt(env, arguments[13]);
  header.devminor = ReadInt(env, arguments[14]);
  napi_get_value_bool(env, arguments[15], &header.names_in_pax);

  std::vector<tar::PaxRecord> pax;
  bool has_pax = false;
  napi_is_array(env, arguments[16], &has_pax);
  if (has_pax) {
    uint32_t texts_count = 0;
    napi_get_array_length(env, arguments[16], &texts_count);
    const auto read = [&](uint32_t index) {
      napi_value value = nullptr;
      napi_get_element(env, arguments[16], index, &value);
      return texts.Read(env, value);
    };
    pax.reserve(texts_count / 2);
    for (uint32_t i = 0; i + 1 < texts_count; i += 2) {
      const std::string_view key = read(i);
      pax.push_back({key, read(i + 1)});
    }
    header.pax = pax;
  }

  const tar::Decision decision = tar::Decide(header);
  if (decision.format == tar::Format::kNone) return FaultsOf(env, decision);
  napi_value bytes = nullptr;
  napi_create_int64(env, static_cast<int64_t>(tar::EncodeHeader(header, decision, target)), &bytes);
  return bytes;
}

}  // namespace

void InitTar(Napi::Env env, Napi::Object exports) {
  napi_value function = nullptr;
  napi_create_function(env, "encodeHeader", NAPI_AUTO_LENGTH, EncodeHeader, nullptr, &function);
  exports.Set("encodeHeader", function);
}

}  // namespace tarspout::binding
