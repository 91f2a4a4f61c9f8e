// The quick yes for names: never for a name that breaks a rule of src/names/name-rules.ts, always
// for the usual ones.
#include "tar/plain_name.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "check.h"

namespace {

using tarspout::tar::IsPlainName;

// Pachyderm's rules, word by word: printable ASCII, no glob characters, no slash at either end, no
// part "..", and something left without "." and "".
bool KeepsRules(std::string_view name) {
  for (const char c : name) {
    if (c < ' ' || c > '~') return false;
    if (std::string_view("*?[]{}!()@+^").find(c) != std::string_view::npos) return false;
  }
  if (name.starts_with('/') || name.ends_with('/')) return false;
  bool left = false;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    if (part == "..") return false;
    left = left || (!part.empty() && part != ".");
    begin = end + 1;
  }
  return left;
}

TEST("every byte, alone and inside a name: a yes only within the rules") {
  int yes = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string c(1, static_cast<char>(byte));
    for (const std::string& name :
         {c, "a" + c, c + "a", "a" + c + "b", "a/" + c + "b", "a" + c + "/b"}) {
      if (!IsPlainName(name)) continue;
      ++yes;
      CHECK(KeepsRules(name));
    }
  }
  CHECK(yes > 6 * 62);
}

TEST("every name of up to six of the characters that make parts: a yes only within the rules") {
  constexpr std::string_view kCharacters = "a/.*";
  for (size_t length = 0; length <= 6; ++length) {
    size_t count = 1;
    for (size_t i = 0; i < length; ++i) count *= kCharacters.size();
    for (size_t number = 0; number < count; ++number) {
      std::string name;
      for (size_t i = 0, rest = number; i < length; ++i, rest /= kCharacters.size()) {
        name += kCharacters[rest % kCharacters.size()];
      }
      if (IsPlainName(name)) CHECK(KeepsRules(name));
    }
  }
}

TEST("the usual names need no closer look") {
  for (const char* name :
       {"a", "topic-0-17", "a/b/c.json", "2020-01-01T00:00:00Z", "a b", "x=1,y=2", "v1.2.3"}) {
    CHECK(IsPlainName(name));
  }
}

}  // namespace

int main() { return check::RunAll("plain_name"); }
