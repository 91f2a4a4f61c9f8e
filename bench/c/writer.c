// The limit: what a C program that only writes gets through the same FIFO to the same reader.
//
//   writer copy|vmsplice|staged-copy|staged-vmsplice FIFO CYCLE TIMES CHUNK
//                                                 the bytes of the file CYCLE, TIMES times over, in
//                                                 calls of CHUNK bytes, then the end-of-archive
//                                                 marker; staged: into a pipe of its own, and their
//                                                 pages from there into the FIFO
//   writer persistent FIFO ARCHIVES BYTES COUNT   COUNT archives of BYTES bytes each, taken in turn
//   from the
//                                                 file ARCHIVES, one write each
//   writer per-archive FIFO ARCHIVES BYTES COUNT  the same, the write end opened for each archive
//   and closed
//                                                 when the reader has taken it
//   writer latency FIFO ARCHIVES BYTES COUNT PAUSE_US
//                                                 one archive per pause; the time from write(2)
//                                                 until FIONREAD says that nothing is left unread
//
// Prints one JSON object: startedAt and endedAt (CLOCK_MONOTONIC, ns), cpuSeconds, peakRssBytes,
// and for latency the list latenciesNs.
#include "common.h"

enum { kMarkerBytes = 1024 };

struct buffer {
  unsigned char* data;
  size_t size;
};

// The file, read whole and repeated until it holds at least `least` bytes. Page-aligned, because
// vmsplice hands whole pages over.
static struct buffer load(const char* path, size_t least) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) < 0) die(path);
  size_t once = (size_t)st.st_size;
  if (once == 0) usage("writer: the file of bytes must not be empty");
  size_t times = least > once ? (least + once - 1) / once : 1;
  struct buffer b = {NULL, once * times};
  b.data = mmap(NULL, b.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (b.data == MAP_FAILED) die("mmap");
  for (size_t at = 0; at < once;) {
    ssize_t n = read(fd, b.data + at, once - at);
    if (n <= 0) die(path);
    at += (size_t)n;
  }
  for (size_t i = 1; i < times; i++) memcpy(b.data + i * once, b.data, once);
  close(fd);
  return b;
}

static int open_write_end(const char* fifo) {
  int fd = open(fifo, O_WRONLY | O_CLOEXEC);
  if (fd < 0) die(fifo);
  return fd;
}

// How bytes get into a pipe.
typedef ssize_t put(int fd, const unsigned char* data, size_t size);

static ssize_t copy(int fd, const unsigned char* data, size_t size) {
  return write(fd, data, size);
}

static ssize_t map(int fd, const unsigned char* data, size_t size) {
  struct iovec part = {(void*)data, size};
  return vmsplice(fd, &part, 1, 0);
}

static void put_all(put* how, int fd, const unsigned char* data, size_t size) {
  while (size > 0) {
    ssize_t n = how(fd, data, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) die(how == map ? "vmsplice" : "write");
    data += n;
    size -= (size_t)n;
  }
}

static void write_all(int fd, const unsigned char* data, size_t size) {
  put_all(copy, fd, data, size);
}

// A pipe that bytes are put into while the reader copies others out of the FIFO.
static int stage[2];

static void open_stage(void) {
  if (pipe2(stage, O_CLOEXEC) < 0 || fcntl(stage[1], F_SETPIPE_SZ, 1 << 20) < 0)
    die("a pipe of 1 MiB");
}

static void move_all(int fd, size_t size) {
  while (size > 0) {
    ssize_t n = splice(stage[0], NULL, fd, NULL, size, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) die("splice");
    size -= (size_t)n;
  }
}

static int unread(int fd) {
  int bytes = 0;
  if (ioctl(fd, FIONREAD, &bytes) < 0) die("FIONREAD");
  return bytes;
}

static void print_result(int64_t started, int64_t ended) {
  printf("{\"startedAt\":%lld,\"endedAt\":%lld,", (long long)started, (long long)ended);
  print_usage_of(RUSAGE_SELF);
}

static void stream(put* how, int staged, const char* fifo, const char* path, int64_t times,
                   size_t chunk) {
  struct stat st;
  if (stat(path, &st) < 0) die(path);
  struct buffer b = load(path, chunk);
  static unsigned char marker[kMarkerBytes];
  int64_t left = times * st.st_size;
  int64_t started = now_ns();
  int fd = open_write_end(fifo);
  if (staged) open_stage();
  for (size_t at = 0; left > 0;) {
    size_t n = b.size - at < chunk ? b.size - at : chunk;
    if ((int64_t)n > left) n = (size_t)left;
    put_all(how, staged ? stage[1] : fd, b.data + at, n);
    if (staged) move_all(fd, n);
    at = at + n == b.size ? 0 : at + n;
    left -= (int64_t)n;
  }
  write_all(fd, marker, sizeof marker);
  close(fd);
  print_result(started, now_ns());
  puts("}");
}

static void archives(int persistent, const char* fifo, const char* path, size_t bytes,
                     int64_t count) {
  struct buffer b = load(path, bytes);
  size_t slots = b.size / bytes;
  int64_t started = now_ns();
  int fd = persistent ? open_write_end(fifo) : -1;
  for (int64_t i = 0; i < count; i++) {
    unsigned char* archive = b.data + ((size_t)i % slots) * bytes;
    if (persistent) {
      write_all(fd, archive, bytes);
      continue;
    }
    fd = open_write_end(fifo);
    // A reader that is just closing takes nothing: the archive, one write, goes to the next.
    while (write(fd, archive, bytes) != (ssize_t)bytes) {
      if (errno != EPIPE) die("write");
      close(fd);
      fd = open_write_end(fifo);
    }
    while (unread(fd) > 0) {
    }
    close(fd);
  }
  if (persistent) close(fd);
  print_result(started, now_ns());
  puts("}");
}

static void latency(const char* fifo, const char* path, size_t bytes, int64_t count,
                    int64_t pause_us) {
  struct buffer b = load(path, bytes);
  size_t slots = b.size / bytes;
  int64_t* taken = calloc((size_t)count, sizeof *taken);
  if (taken == NULL) die("calloc");
  int64_t started = now_ns();
  int fd = open_write_end(fifo);
  for (int64_t i = 0; i < count; i++) {
    sleep_until_ns(now_ns() + pause_us * 1000);
    int64_t before = now_ns();
    write_all(fd, b.data + ((size_t)i % slots) * bytes, bytes);
    while (unread(fd) > 0) {
    }
    taken[i] = now_ns() - before;
  }
  close(fd);
  print_result(started, now_ns());
  printf(",\"latenciesNs\":[");
  for (int64_t i = 0; i < count; i++) printf("%s%lld", i > 0 ? "," : "", (long long)taken[i]);
  puts("]}");
}

int main(int argc, char** argv) {
  end_with_parent();
  signal(SIGPIPE, SIG_IGN);
  const char* mode = argc > 1 ? argv[1] : "";
  int staged = strncmp(mode, "staged-", 7) == 0;
  const char* way = staged ? mode + 7 : mode;
  if (argc == 6 && (strcmp(way, "copy") == 0 || strcmp(way, "vmsplice") == 0)) {
    stream(way[0] == 'c' ? copy : map, staged, argv[2], argv[3], atoll(argv[4]),
           (size_t)atoll(argv[5]));
  } else if (argc == 6 && (strcmp(mode, "persistent") == 0 || strcmp(mode, "per-archive") == 0)) {
    archives(strcmp(mode, "persistent") == 0, argv[2], argv[3], (size_t)atoll(argv[4]),
             atoll(argv[5]));
  } else if (argc == 7 && strcmp(mode, "latency") == 0) {
    latency(argv[2], argv[3], (size_t)atoll(argv[4]), atoll(argv[5]), atoll(argv[6]));
  } else {
    usage(
        "writer copy|vmsplice|staged-copy|staged-vmsplice FIFO CYCLE TIMES CHUNK | "
        "persistent|per-archive FIFO ARCHIVES BYTES COUNT | latency FIFO ARCHIVES BYTES COUNT "
        "PAUSE_US");
  }
  return 0;
}
