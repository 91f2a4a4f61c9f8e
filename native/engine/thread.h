// Threads of the addon's own: named, never joined, and with every signal blocked. Signal handlers
// run on the threads that expect them, and a write to a FIFO without a reader ends in EPIPE only.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <thread>
#include <utility>

namespace tarspout {

template <typename Run>
void StartThread(const char* name, Run run) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread(std::move(run));
  pthread_setname_np(thread.native_handle(), name);
  thread.detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// Has the calling thread run soon after it is woken, also where others keep the processors busy:
// since Linux 6.12 a thread may ask for short turns, which come sooner (sched(7), EEVDF). Does
// nothing elsewhere, nor to a thread that runs under a real-time policy.
void AskForShortTurns();

}  // namespace tarspout
