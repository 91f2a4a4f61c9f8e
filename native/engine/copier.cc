#include "engine/copier.h"

#include <sched.h>

#include "engine/engine.h"
#include "engine/thread.h"

namespace tarspout {
namespace {

// It waited for a processor. Then the engine copies for that many times as long.
constexpr int64_t kSlowNs = 1'000'000;
constexpr int64_t kRests = 8;

// The processors this thread may run on, if they are two: with one all is copied there, and with
// more the reader stays on one of its own.
bool AreTwo(cpu_set_t* allowed) {
  return ::sched_getaffinity(0, sizeof(*allowed), allowed) == 0 && CPU_COUNT(allowed) == 2;
}

}  // namespace

int64_t Copier::Copy(fifo::Stage* stage, int64_t position, const iovec* pieces, int count) {
  const int64_t began = NowNs();
  if (began < rests_until_ || !IsOfUse()) return stage->Copy(position, pieces, count);
  const int64_t bytes = Delegate({stage, position, pieces, count});
  const int64_t ended = NowNs();
  if (ended - began > kSlowNs) rests_until_ = ended + kRests * (ended - began);
  KeepApart();
  return bytes;
}

bool Copier::IsOfUse() {
  if (use_ == Use::kUnknown) {
    cpu_set_t allowed;
    use_ = AreTwo(&allowed) ? Use::kSome : Use::kNone;
    if (use_ == Use::kSome) StartThread("tarspout-copier", [this] { Serve(); });
  }
  return use_ == Use::kSome;
}

int64_t Copier::Delegate(Job job) {
  std::unique_lock lock(mutex_);
  job_ = &job;
  asked_.notify_one();
  copied_.wait(lock, [this] { return job_ == nullptr; });
  return job.bytes;
}

void Copier::Serve() {
  std::unique_lock lock(mutex_);
  thread_ = ::pthread_self();
  for (;;) {
    asked_.wait(lock, [this] { return job_ != nullptr; });
    job_->bytes = job_->stage->Copy(job_->position, job_->pieces, job_->count);
    processor_ = ::sched_getcpu();
    job_ = nullptr;
    copied_.notify_one();
  }
}

// On the engine's processor it would leave the other one to the reader alone.
void Copier::KeepApart() {
  const std::lock_guard lock(mutex_);
  const int mine = ::sched_getcpu();
  if (processor_ != mine) return;
  cpu_set_t allowed;
  if (!AreTwo(&allowed)) {
    use_ = Use::kNone;
    return;
  }
  CPU_CLR(mine, &allowed);
  ::pthread_setaffinity_np(thread_, sizeof(allowed), &allowed);
}

}  // namespace tarspout
