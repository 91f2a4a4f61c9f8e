// Command lines of the form `--name value` and `--flag`. A name nobody asked for is an error.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>
#include <vector>

namespace readers {

class Options {
 public:
  Options(int argc, char** argv) : words_(argv + 1, argv + argc) {}

  bool Flag(const char* name) {
    known_.insert(name);
    for (const std::string& word : words_) {
      if (word == name) return true;
    }
    return false;
  }

  std::string Text(const char* name, const char* fallback) {
    known_.insert(name);
    takes_value_.insert(name);
    for (size_t i = 0; i + 1 < words_.size(); ++i) {
      if (words_[i] == name) return words_[i + 1];
    }
    return fallback;
  }

  int64_t Number(const char* name, int64_t fallback) {
    const std::string text = Text(name, "");
    if (text.empty()) return fallback;
    char* end = nullptr;
    const int64_t value = std::strtoll(text.c_str(), &end, 10);
    if (*end != '\0') Die(std::string(name) + ": expected a number, found " + text);
    return value;
  }

  // Call last: exits with status 2 if a word is left that nothing asked for.
  void Finish() {
    for (size_t i = 0; i < words_.size(); ++i) {
      if (known_.count(words_[i]) == 0) Die("unknown option " + words_[i]);
      if (takes_value_.count(words_[i]) != 0 && ++i == words_.size()) Die("value missing");
    }
  }

  [[noreturn]] static void Die(const std::string& message) {
    std::fprintf(stderr, "%s\n", message.c_str());
    std::exit(2);
  }

 private:
  std::vector<std::string> words_;
  std::set<std::string> known_;
  std::set<std::string> takes_value_;
};

}  // namespace readers
