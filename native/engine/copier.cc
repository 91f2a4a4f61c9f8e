#include "engine/copier.h"

#include <sched.h>

#include "engine/engine.h"
#include "engine/thread.h"

namespace tarspout {
namespace {

// The processors this thread may run on, if there are several.
bool FindAllowed(cpu_set_t* allowed) {
  return ::sched_getaffinity(0, sizeof(*allowed), allowed) == 0 && CPU_COUNT(allowed) > 1;
}

}  // namespace

int64_t Copier::Copy(fifo::Stage* stage, int64_t position, const iovec* pieces, int count) {
  if (!IsOfUse()) return stage->Copy(position, pieces, count);
  const bool delegates = way_.IsSecond();
  const int64_t began = NowNs();
  const int64_t bytes =
      delegates ? Delegate({stage, position, pieces, count}) : stage->Copy(position, pieces, count);
  if (bytes > 0) way_.Took(static_cast<double>(NowNs() - began), static_cast<double>(bytes));
  if (delegates) KeepApart();
  return bytes;
}

bool Copier::IsOfUse() {
  if (use_ == Use::kUnknown) {
    cpu_set_t allowed;
    use_ = FindAllowed(&allowed) ? Use::kSome : Use::kNone;
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
  if (!FindAllowed(&allowed)) {
    use_ = Use::kNone;
    return;
  }
  CPU_CLR(mine, &allowed);
  ::pthread_setaffinity_np(thread_, sizeof(allowed), &allowed);
}

}  // namespace tarspout
