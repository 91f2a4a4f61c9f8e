// A commit, and the log of finished ones. A commit counts only once its line is in the log: a
// reader killed while finishing leaves none.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "source.h"

namespace readers {

struct CommitEntry {
  std::string name;
  int64_t size = 0;      // bytes of the body that arrived
  int64_t declared = 0;  // bytes the header promised
  uint32_t hash = 0;     // CRC-32 of what arrived
};

struct Commit {
  std::vector<CommitEntry> entries;
  int64_t start_ns = NowNs();
};

class CommitLog {
 public:
  CommitLog(const std::string& path, int64_t run) : run_(run) {
    fd_ = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd_ < 0) Options::Die(path + ": cannot open the log");
  }
  CommitLog(const CommitLog&) = delete;
  CommitLog& operator=(const CommitLog&) = delete;
  ~CommitLog() { close(fd_); }

  int64_t count() const { return count_; }

  // One line, one write, so that lines of several processes never mix.
  void Append(const Commit& commit, Status end) {
    const bool complete = end == Status::kEof;
    std::string line = "{\"n\":" + std::to_string(++count_) + ",\"entries\":[";
    for (const CommitEntry& entry : commit.entries) {
      if (line.back() == '}') line += ',';
      char hash[9];
      std::snprintf(hash, sizeof hash, "%08x", entry.hash);
      line += "{\"name\":\"" + Escape(entry.name) + "\",\"size\":" + std::to_string(entry.size);
      if (entry.declared != entry.size) line += ",\"declared\":" + std::to_string(entry.declared);
      line += std::string(",\"hash\":\"") + hash + "\"}";
    }
    line += std::string("],\"complete\":") + (complete ? "true" : "false");
    if (!complete) line += std::string(",\"error\":\"") + Name(end) + "\"";
    line += ",\"startNs\":" + std::to_string(commit.start_ns);
    line += ",\"endNs\":" + std::to_string(NowNs());
    line += ",\"run\":" + std::to_string(run_) + ",\"pid\":" + std::to_string(getpid()) + "}\n";
    if (write(fd_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
      Options::Die("the log cannot be written");
    }
  }

 private:
  // Names are bytes, UTF-8 if all is well; only what JSON does not allow in a string is escaped.
  static std::string Escape(const std::string& text) {
    std::string out;
    for (const unsigned char byte : text) {
      char code[8];
      if (byte < 0x20 || byte == '"' || byte == '\\') {
        std::snprintf(code, sizeof code, "\\u%04x", byte);
        out += code;
      } else {
        out += static_cast<char>(byte);
      }
    }
    return out;
  }

  int fd_ = -1;
  int64_t run_;
  int64_t count_ = 0;
};

}  // namespace readers
