// The paths of one archive, to find a path that is a file in one entry and a folder in another: "a"
// and "a/b".
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace tarspout::tar {

// Where a set has its memory from.
struct PlainMemory {
  template <typename T>
  using Allocator = std::allocator<T>;
  static constexpr size_t kBlockSize = 4096;
  static std::unique_ptr<uint64_t[]> TakeBlock() {
    return std::make_unique<uint64_t[]>(kBlockSize / sizeof(uint64_t));
  }
  static uint64_t* DataOf(const std::unique_ptr<uint64_t[]>& block) { return block.get(); }
};

// Hashes of 64 bits stand for the paths: ten million of them in 128 MiB, and an entry refused by
// mistake once in 10^5 archives of that size.
template <typename Memory = PlainMemory>
class PathSet {
 public:
  // Adds a file. False: it is a folder of a file added before, or lies in one that is a file. Files
  // may come twice. The path is clean: no empty part, no ".".
  bool AddFile(std::string_view path) {
    const uint64_t file = HashOf(path);
    size_t slash = path.find('/');
    if (slash == std::string_view::npos && !has_folders_) {
      // As long as there are no folders nothing can be in conflict: it is enough to remember.
      unsorted_.Add(file);
      return true;
    }
    unsorted_.ForEach([this](uint64_t hash) { files_.Add(hash); });
    unsorted_.Clear();
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
    unsorted_.Clear();
    if (!has_folders_) return;
    files_.Clear();
    folders_.Clear();
    has_folders_ = false;
  }

 private:
  using Hashes = std::vector<uint64_t, typename Memory::template Allocator<uint64_t>>;

  // In blocks, so that growing copies nothing; the first few in here.
  class HashList {
   public:
    HashList() { Clear(); }
    HashList(const HashList&) = delete;
    HashList& operator=(const HashList&) = delete;

    void Add(uint64_t hash) {
      if (at_ == end_) {
        blocks_.push_back(Memory::TakeBlock());
        at_ = HashesOf(blocks_.back());
        end_ = at_ + kPerBlock;
      }
      *at_++ = hash;
    }

    template <typename Function>
    void ForEach(Function function) const {
      const uint64_t* first = first_.data();
      std::for_each(first, blocks_.empty() ? at_ : first + first_.size(), function);
      for (const Block& block : blocks_) {
        const uint64_t* hashes = HashesOf(block);
        std::for_each(hashes, &block == &blocks_.back() ? at_ : hashes + kPerBlock, function);
      }
    }

    void Clear() {
      blocks_.clear();
      at_ = first_.data();
      end_ = at_ + first_.size();
    }

   private:
    using Block = decltype(Memory::TakeBlock());
    static constexpr size_t kPerBlock = Memory::kBlockSize / sizeof(uint64_t);
    static uint64_t* HashesOf(const Block& block) {
      return reinterpret_cast<uint64_t*>(Memory::DataOf(block));
    }

    std::array<uint64_t, 256> first_;
    std::vector<Block> blocks_;
    uint64_t* at_;
    uint64_t* end_;
  };

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

  HashList unsorted_;  // files, while there are no folders
  HashSet files_;
  HashSet folders_;
  bool has_folders_ = false;
};

}  // namespace tarspout::tar
