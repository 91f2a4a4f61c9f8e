// What reader, writer and measure share: the clock every process of a run is compared by, and how
// they fail.
#ifndef TARSPOUT_BENCH_COMMON_H_
#define TARSPOUT_BENCH_COMMON_H_

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// CLOCK_MONOTONIC, the clock of Node's process.hrtime, so that times of different processes
// subtract.
static inline int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline void sleep_until_ns(int64_t when) {
  struct timespec t = {when / 1000000000, when % 1000000000};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static inline void die(const char* what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

// A bench that is interrupted leaves nobody waiting on a FIFO.
static inline void end_with_parent(void) { prctl(PR_SET_PDEATHSIG, SIGKILL); }

static inline void usage(const char* text) {
  fprintf(stderr, "usage: %s\n", text);
  exit(2);
}

// The JSON members "cpuSeconds" and "peakRssBytes" of this process or of its children.
static inline void print_usage_of(int who) {
  struct rusage u;
  getrusage(who, &u);
  double cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
               (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
  printf("\"cpuSeconds\":%.6f,\"peakRssBytes\":%lld", cpu, (long long)u.ru_maxrss * 1024);
}

#endif  // TARSPOUT_BENCH_COMMON_H_
