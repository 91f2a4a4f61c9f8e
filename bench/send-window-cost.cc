// What the send window costs by itself: nanoseconds per archive for each step of an archive's way,
// as one JSON object. Run by `npm run bench -- micro`.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <thread>
#include <vector>

#include "send_window/send_window.h"

namespace {

using tarspout::Piece;
using tarspout::SendWindow;

// As many archives as the bench has pending, each with one entry of 1 KiB, and writes as the engine
// makes them.
constexpr int kArchives = 1024;
constexpr size_t kArchiveBytes = 2560;
constexpr size_t kPieces = 256;
constexpr int64_t kWriteBytes = 256 * 1024;
constexpr int kPasses = 1001;

enum Step { kQueue, kGather, kAdvance, kRewind, kRelease, kSteps };
constexpr const char* kNames[kSteps] = {"queue", "gather", "advance", "rewind", "release"};

int64_t Now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Nanoseconds of each step in one pass: queued, written, all of it sent again, delivered.
class Pass {
 public:
  // `apart`: each archive is memory of its own, as a borrowed body is; else they lie one behind the
  // other.
  Pass(SendWindow& window, const std::shared_ptr<uint8_t[]>& memory, bool apart) : window_(window) {
    const size_t stride = kArchiveBytes + (apart ? 1 : 0);
    Take(kQueue, [&] {
      for (size_t i = 0; i < kArchives; ++i) {
        window_.Begin(i + 1);
        window_.Append({memory.get() + i * stride, kArchiveBytes, memory});
        window_.Finish(0);
      }
    });
    Write();
    Take(kRewind, [&] { window_.Rewind(); });
    Write();
    Take(kRelease, [&] {
      while (!window_.IsEmpty()) window_.PopHead();
    });
    // Everything was gathered and written twice.
    spent_[kGather] /= 2;
    spent_[kAdvance] /= 2;
  }

  double PerArchive(int step) const { return static_cast<double>(spent_[step]) / kArchives; }

 private:
  template <typename Run>
  void Take(Step step, Run run) {
    const int64_t begin = Now();
    run();
    spent_[step] += Now() - begin;
  }

  void Write() {
    std::vector<Piece> pieces;
    while (window_.nxt() < window_.end()) {
      Take(kGather, [&] { window_.Gather(window_.end(), kPieces, kWriteBytes, &pieces); });
      int64_t bytes = 0;
      for (const Piece& piece : pieces) bytes += static_cast<int64_t>(piece.size);
      Take(kAdvance, [&] { window_.Advance(bytes); });
    }
  }

  SendWindow& window_;
  int64_t spent_[kSteps] = {};
};

void Print(const char* title, bool apart) {
  // The bytes are never looked at.
  const std::shared_ptr<uint8_t[]> memory(new uint8_t[kArchives * (kArchiveBytes + 1)]);
  SendWindow window;
  std::vector<double> costs[kSteps];
  for (int i = 0; i < kPasses; ++i) {
    const Pass pass(window, memory, apart);
    for (int step = 0; step < kSteps; ++step) costs[step].push_back(pass.PerArchive(step));
  }
  std::printf("\"%s\":{", title);
  for (int step = 0; step < kSteps; ++step) {
    std::nth_element(costs[step].begin(), costs[step].begin() + kPasses / 2, costs[step].end());
    std::printf("%s\"%s\":%.2f", step > 0 ? "," : "", kNames[step], costs[step][kPasses / 2]);
  }
  std::printf("}");
}

}  // namespace

int main() {
  // Counts of owners are atomic, as in the addon, only once a second thread was there.
  std::thread([] {}).join();
  std::printf("{");
  Print("each archive memory of its own", true);
  std::printf(",");
  Print("one behind the other", false);
  std::printf("}\n");
  return 0;
}
