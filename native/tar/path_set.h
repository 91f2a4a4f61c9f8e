// The paths of one archive, to find a path that is a file in one entry and a folder in another: "a"
// and "a/b".
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace tarspout::tar {

// Memory is from Allocator<uint64_t>. Hashes of 64 bits stand for the paths: ten million of them in
// 128 MiB, and an entry refused by mistake once in 10^5 archives of that size.
template <template <typename> typename Allocator = std::allocator>
class PathSet {
 public:
  // Adds a file. False: it is a folder of a file added before, or lies in one that is a file. Files
  // may come twice. The path is clean: no empty part, no ".".
  bool AddFile(std::string_view path) {
    const uint64_t file = HashOf(path);
    size_t slash = path.find('/');
    if (slash == std::string_view::npos && !has_folders_) {
      // As long as there are no folders nothing can be in conflict: it is enough to remember.
      unsorted_.push_back(file);
      return true;
    }
    for (const uint64_t hash : unsorted_) files_.Add(hash);
    unsorted_.clear();
    has_folders_ = true;
    if (folders_.Has(file)) return false;
    if (slash != std::string_view::npos) {
      for (size_t at = slash; at != std::string_view::npos; at = path.find('/', at + 1)) {
        if (files_.Has(HashOf(path.substr(0, at)))) return false;
      }
      for (; slash != std::string_view::npos; slash = path.find('/', slash + 1)) {
        folders_.Add(HashOf(path.substr(0, slash)));
      }
    }
    files_.Add(file);
    return true;
  }

  void Clear() {
    if (unsorted_.capacity() > kKept) {
      unsorted_ = Hashes();
    } else {
      unsorted_.clear();
    }
    if (!has_folders_) return;
    files_.Clear();
    folders_.Clear();
    has_folders_ = false;
  }

 private:
  using Hashes = std::vector<uint64_t, Allocator<uint64_t>>;

  // Open addressing; 0 is an empty slot.
  class HashSet {
   public:
    bool Has(uint64_t hash) const {
      for (size_t i = hash & mask_;; i = (i + 1) & mask_) {
        if (slots_[i] == hash) return true;
        if (slots_[i] == 0) return false;
      }
    }

    void Add(uint64_t hash) {
      if (count_ * 2 > mask_) Grow();
      for (size_t i = hash & mask_;; i = (i + 1) & mask_) {
        if (slots_[i] == hash) return;
        if (slots_[i] == 0) {
          slots_[i] = hash;
          ++count_;
          return;
        }
      }
    }

    void Clear() {
      if (count_ == 0) return;
      if (count_ * 8 < slots_.size()) slots_ = Hashes(kLeast);  // small archives after a large one
      std::fill(slots_.begin(), slots_.end(), 0);
      mask_ = slots_.size() - 1;
      count_ = 0;
    }

   private:
    static constexpr size_t kLeast = 64;

    void Grow() {
      Hashes old(slots_.size() * 2);
      old.swap(slots_);
      mask_ = slots_.size() - 1;
      count_ = 0;
      for (const uint64_t hash : old) {
        if (hash != 0) Add(hash);
      }
    }

    Hashes slots_ = Hashes(kLeast);
    size_t mask_ = kLeast - 1;
    size_t count_ = 0;
  };

  // Eight bytes at a time, multiplied and folded; the last eight overlap. Names come from outside,
  // but only their own archive suffers if they are made to collide.
  static uint64_t HashOf(std::string_view text) {
    const size_t size = text.size();
    uint64_t hash = size * 0x9e3779b97f4a7c15u;
    const auto mix = [&hash](uint64_t word) {
      const auto product = static_cast<unsigned __int128>(hash ^ word) * 0xa0761d6478bd642fu;
      hash = static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
    };
    if (size >= 8) {
      size_t at = 0;
      for (; at + 8 <= size; at += 8) mix(Load<uint64_t>(text.data() + at));
      if (at < size) mix(Load<uint64_t>(text.data() + size - 8));
    } else if (size >= 4) {
      mix(Load<uint32_t>(text.data()) | uint64_t{Load<uint32_t>(text.data() + size - 4)} << 32);
    } else if (size > 0) {
      const auto byte = [&](size_t at) { return uint64_t{static_cast<uint8_t>(text[at])}; };
      mix(byte(0) | byte(size / 2) << 8 | byte(size - 1) << 16);
    }
    return hash | 1;  // never the empty slot
  }

  template <typename Word>
  static Word Load(const char* at) {
    Word word;
    std::memcpy(&word, at, sizeof(word));
    return word;
  }

  static constexpr size_t kKept = 1 << 16;  // names whose room is kept for the next archive

  Hashes unsorted_;  // files, while there are no folders
  HashSet files_;
  HashSet folders_;
  bool has_folders_ = false;
};

}  // namespace tarspout::tar
