// The one reader of every case: read(2) into 1 MiB, nothing else, until the write end is closed.
//
// Standard input has its tasks, a line each: FIFO [TAB option=value ...]
//     pipe=BYTES     capacity asked of the pipe (default 1048576)
//     verify=1       hashes what it reads: the bytes, and the entries they state (see entries.h)
//     pace=BYTES     reads no more than this per second (a slow reader)
//     stall-after=BYTES stall-ms=MS
//                    stops reading for a while once so many bytes were read
//     reopen=BYTES   at end of file, closes and opens again, as a spout's reader does, until so
//                    many bytes came
//     mark=BYTES     notes the time whenever another so many bytes have come
//
// SIGTERM ends a task early. Prints "ready" before it opens the FIFO, and one line of JSON in the
// end: bytes, opens, reads, firstByteAt, lastByteAt (CLOCK_MONOTONIC, ns), firstBytes (of the first
// read), pipeCapacity, and what the options asked for.
#include "common.h"
#include "entries.h"

enum { kBufferBytes = 1 << 20, kPacedBytes = 1 << 16 };

static volatile sig_atomic_t stopped;

static void stop(int signal) {
  (void)signal;
  stopped = 1;
}

struct options {
  int64_t pipe, verify, pace, stall_after, stall_ms, reopen, mark;
};

// Of the words behind the path.
static struct options parse(char** rest) {
  struct options o = {.pipe = 1 << 20};
  struct {
    const char* name;
    int64_t* value;
  } known[] = {{"pipe", &o.pipe},         {"verify", &o.verify},
               {"pace", &o.pace},         {"stall-after", &o.stall_after},
               {"stall-ms", &o.stall_ms}, {"reopen", &o.reopen},
               {"mark", &o.mark}};
  for (char* word = strtok_r(NULL, "\t", rest); word != NULL; word = strtok_r(NULL, "\t", rest)) {
    char* equals = strchr(word, '=');
    int found = 0;
    for (size_t k = 0; equals && k < sizeof known / sizeof known[0]; k++) {
      size_t length = strlen(known[k].name);
      if ((size_t)(equals - word) != length || strncmp(word, known[k].name, length) != 0) continue;
      *known[k].value = atoll(equals + 1);
      found = 1;
    }
    if (!found) usage("reader, with lines: FIFO [TAB option=value ...]");
  }
  return o;
}

static void serve(const char* path, struct options o, unsigned char* buffer) {
  size_t mark_slots = 0, marks = 0;
  int64_t* mark_times = NULL;
  uint64_t bytes_hash = kHashStart;
  struct entries entries = {.hash = kHashStart};
  int64_t bytes = 0, reads = 0, opens = 0, first = 0, first_bytes = 0, last = 0, capacity = 0;

  puts("ready");
  fflush(stdout);
  do {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == EINTR) break;
    if (fd < 0) die(path);
    opens++;
    fcntl(fd, F_SETPIPE_SZ, (int)o.pipe);
    capacity = fcntl(fd, F_GETPIPE_SZ);
    while (!stopped) {
      ssize_t n = read(fd, buffer, o.pace > 0 ? kPacedBytes : kBufferBytes);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) die("read");
      if (n == 0) break;
      last = now_ns();
      if (reads++ == 0) {
        first = last;
        first_bytes = n;
      }
      if (o.verify) {
        bytes_hash = hash_bytes(bytes_hash, buffer, (size_t)n);
        entries_add(&entries, buffer, (size_t)n);
      }
      if (o.mark > 0) {
        for (int64_t due = bytes / o.mark; due < (bytes + n) / o.mark; due++) {
          if (marks == mark_slots) {
            mark_slots = mark_slots * 2 + 1024;
            mark_times = realloc(mark_times, mark_slots * sizeof *mark_times);
            if (mark_times == NULL) die("realloc");
          }
          mark_times[marks++] = last;
        }
      }
      int stalls = o.stall_after > 0 && bytes < o.stall_after && bytes + n >= o.stall_after;
      bytes += n;
      if (stalls) sleep_until_ns(now_ns() + o.stall_ms * 1000000);
      if (o.pace > 0) sleep_until_ns(first + (int64_t)((double)bytes / (double)o.pace * 1e9));
      if (o.reopen > 0 && bytes >= o.reopen) break;
    }
    close(fd);
  } while (!stopped && bytes < o.reopen);

  printf("{\"bytes\":%lld,\"opens\":%lld,\"reads\":%lld,\"firstByteAt\":%lld,\"lastByteAt\":%lld,",
         (long long)bytes, (long long)opens, (long long)reads, (long long)first, (long long)last);
  printf("\"firstBytes\":%lld,\"pipeCapacity\":%lld", (long long)first_bytes, (long long)capacity);
  if (o.verify) {
    printf(",\"bytesHash\":\"%016llx\",\"entriesHash\":\"%016llx\",\"entries\":%lld,\"fault\":",
           (unsigned long long)bytes_hash, (unsigned long long)entries.hash,
           (long long)entries.count);
    printf(entries.fault ? "\"%s\"" : "null", entries.fault);
  }
  if (o.mark > 0) {
    printf(",\"marks\":[");
    for (size_t i = 0; i < marks; i++) printf("%s%lld", i > 0 ? "," : "", (long long)mark_times[i]);
    printf("]");
  }
  puts("}");
  fflush(stdout);
  free(mark_times);
}

int main(void) {
  end_with_parent();
  struct sigaction action = {.sa_handler =
                                 stop};  // without SA_RESTART: a blocked open or read ends
  sigaction(SIGTERM, &action, NULL);
  unsigned char* buffer = aligned_alloc(4096, kBufferBytes);
  if (buffer == NULL) die("aligned_alloc");
  memset(buffer, 0, kBufferBytes);

  char line[4096];
  for (;;) {
    if (fgets(line, sizeof line, stdin) == NULL) {
      if (feof(stdin)) return 0;
      clearerr(stdin);  // told to stop when it had just ended
      continue;
    }
    line[strcspn(line, "\n")] = '\0';
    stopped = 0;
    char* rest;
    const char* path = strtok_r(line, "\t", &rest);
    if (path == NULL) usage("reader, with lines: FIFO [TAB option=value ...]");
    serve(path, parse(&rest), buffer);
  }
}
