// What goes wrong, by plan: each fault draws its place anew for every archive from one seeded
// generator, so a run repeats exactly. Positions are bytes since the archive's first byte as this
// reader sees it.
#pragma once

#include <cstdint>
#include <limits>

#include "options.h"

namespace readers {

// splitmix64: small, seedable, good enough to pick places.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  // Uniform in [0, bound); 0 for bound 0.
  int64_t Below(int64_t bound) {
    return bound > 0 ? static_cast<int64_t>(Next() % static_cast<uint64_t>(bound)) : 0;
  }

  bool Percent(int64_t percent) { return Below(100) < percent; }

 private:
  uint64_t state_;
};

inline constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

// A fault at a byte: `--NAME-at N` (exactly there) or `--NAME-within N` (uniform in [0, N)), in
// `--NAME-percent P` of the archives (100), at most `--NAME-times K` times (0: no limit).
class ByteFault {
 public:
  ByteFault(Options& options, const std::string& name)
      : at_(options.Number(("--" + name + "-at").c_str(), -1)),
        within_(options.Number(("--" + name + "-within").c_str(), -1)),
        percent_(options.Number(("--" + name + "-percent").c_str(), 100)),
        times_(options.Number(("--" + name + "-times").c_str(), 0)) {}

  // Where it strikes in the archive that begins now; always draws the same number of random values.
  void Draw(Random& random) {
    const bool hit = random.Percent(percent_);
    const int64_t place = random.Below(within_);
    const bool armed = (at_ >= 0 || within_ >= 0) && hit && (times_ == 0 || used_ < times_);
    position_ = !armed ? kNever : at_ >= 0 ? at_ : place;
  }

  int64_t position() const { return position_; }

  void Spend() {
    ++used_;
    position_ = kNever;
  }

  // Counts uses by earlier processes of the same plan (a process that kills itself cannot
  // remember).
  void Used(int64_t count) { used_ += count; }

 private:
  int64_t at_;
  int64_t within_;
  int64_t percent_;
  int64_t times_;
  int64_t used_ = 0;
  int64_t position_ = kNever;
};

struct Plan {
  explicit Plan(Options& options)
      : run(options.Number("--run", 0)),
        random(static_cast<uint64_t>(options.Number("--seed", 1)) * 1000003u +
               static_cast<uint64_t>(run)),
        read_delay_us(options.Number("--read-delay-us", 0)),
        read_max(options.Number("--read-max", 0)),
        read_percent(options.Number("--read-percent", 100)),
        start_ms(options.Number("--start-ms", 0)),
        reopen_us(options.Number("--reopen-us", 0)),
        stall_ms(options.Number("--stall-ms", 0)),
        kill_finishing_percent(options.Number("--kill-finishing-percent", 0)),
        kill_finishing_times(options.Number("--kill-finishing-times", 0)),
        close(options, "close"),
        kill(options, "kill"),
        stall(options, "stall") {
    kill.Used(run);
  }

  void BeginArchive() {
    close.Draw(random);
    kill.Draw(random);
    stall.Draw(random);
    holds_back = read_percent >= 100 || random.Percent(read_percent);
    kill_finishing = random.Percent(kill_finishing_percent) &&
                     (kill_finishing_times == 0 || run < kill_finishing_times);
  }

  int64_t run;  // How many processes of this plan went before: the supervisor counts.
  Random random;
  int64_t read_delay_us;
  int64_t read_max;
  int64_t read_percent;  // of the archives, in which reads are slow and small
  int64_t start_ms;
  int64_t reopen_us;
  int64_t stall_ms;
  int64_t kill_finishing_percent;
  int64_t kill_finishing_times;
  ByteFault close;
  ByteFault kill;
  ByteFault stall;
  bool holds_back = true;
  bool kill_finishing = false;
};

}  // namespace readers
