// Runs a program and prints what it cost: the process times and peak memory of a contender that is
// not Node.
//
//   measure PROGRAM [ARGUMENT ...]     one JSON object on standard output: startedAt and endedAt
//                                      (CLOCK_MONOTONIC, ns), cpuSeconds, peakRssBytes, status
#include "common.h"

int main(int argc, char** argv) {
  end_with_parent();
  if (argc < 2) usage("measure PROGRAM [ARGUMENT ...]");
  int64_t started = now_ns();
  pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    end_with_parent();
    dup2(STDERR_FILENO, STDOUT_FILENO);  // standard output is for the result
    execvp(argv[1], argv + 1);
    die(argv[1]);
  }
  int status;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) die("waitpid");
  }
  printf("{\"startedAt\":%lld,\"endedAt\":%lld,", (long long)started, (long long)now_ns());
  print_usage_of(RUSAGE_CHILDREN);
  printf(",\"status\":%d}\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
