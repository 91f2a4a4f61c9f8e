// A quick yes for names that need no closer look.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace tarspout::tar {

namespace plain_name {

constexpr std::array<bool, 256> Allowed() {
  std::array<bool, 256> allowed{};
  for (int c = '0'; c <= '9'; ++c) allowed[static_cast<size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) allowed[static_cast<size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) allowed[static_cast<size_t>(c)] = true;
  for (const char c : std::string_view(" #$%&,-./:=_~")) allowed[static_cast<uint8_t>(c)] = true;
  return allowed;
}

inline constexpr std::array<bool, 256> kAllowed = Allowed();

}  // namespace plain_name

// Whether every Pachyderm reader surely takes the name as it stands (docs/pachyderm.md, section 2):
// harmless printable ASCII, relative, already clean. A name that fails may still be fine;
// src/names/name-rules.ts decides.
inline bool IsPlainName(std::string_view name) {
  char before = '/';
  for (const char c : name) {
    if (!plain_name::kAllowed[static_cast<uint8_t>(c)]) return false;
    if (before == '/' && (c == '/' || c == '.')) return false;
    before = c;
  }
  return before != '/';
}

}  // namespace tarspout::tar
