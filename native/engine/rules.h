// The times and numbers of docs/delivery.md, rules 3 to 9, which says why each is what it is.
#pragma once

#include <cstdint>

namespace tarspout {

inline constexpr int64_t kMs = 1'000'000;

// A read that was going on when the end was seen is reported by then.
inline constexpr int64_t kSettleNs = 2 * kMs;
// 1.11.0-2 finishes a commit only if a writer is there then; longer if it has not looked for one
// yet.
inline constexpr int64_t kLingerNs = 2 * kMs;
inline constexpr int64_t kAskNs = 100 * kMs;
// Without a reader for so long: start over.
inline constexpr int64_t kReaderGoneNs = 50 * kMs;
// For a reader to see the end of file after a cut, if it does not close before; and after a dead
// writer's bytes were taken.
inline constexpr int64_t kHoldNs = 1000 * kMs;
inline constexpr int64_t kLeftoverNs = 100 * kMs;
// For a reader to leave after the end of file of a raw channel.
inline constexpr int64_t kLeaveNs = 100 * kMs;
// A FIFO that is not replaced by then is gone.
inline constexpr int64_t kRemovedNs = 1000 * kMs;
// Looks even if no event came.
inline constexpr int64_t kSafetyNs = 100 * kMs;
inline constexpr int64_t kMostSafetyNs = 2000 * kMs;
// The longest pause before sending again.
inline constexpr int64_t kMostAgainNs = 64 * kMs;
// Archives in a row without a touch of the FIFO, before several go out at once.
inline constexpr int kQuietArchives = 16;
// A read is reported that much after FIONREAD shows it.
inline constexpr int64_t kLateReportNs = 20'000;

}  // namespace tarspout
