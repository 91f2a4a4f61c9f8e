// What an archive states, apart from how its writer spells it: two writers may differ in the
// padding of a number or in where they put a long path, and still have sent the same entries. Each
// entry is hashed by path, mode, mtime, size, typeflag and body, from a stream of blocks cut
// anywhere. A block that is no header, and a checksum that is wrong, are faults.
#ifndef TARSPOUT_BENCH_ENTRIES_H_
#define TARSPOUT_BENCH_ENTRIES_H_

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kBlockBytes = 512, kPathBytes = 4096, kPaxBytes = 16384 };

// FNV-1a, 64 bit.
static const uint64_t kHashStart = 0xcbf29ce484222325u;

static inline uint64_t hash_bytes(uint64_t hash, const void* data, size_t size) {
  const unsigned char* p = data;
  for (size_t i = 0; i < size; i++) hash = (hash ^ p[i]) * 0x100000001b3u;
  return hash;
}

struct entries {
  uint64_t hash;
  int64_t count;      // entries that have begun
  const char* fault;  // the first fault met, or NULL
  unsigned char block[kBlockBytes];
  size_t filled;      // bytes of `block` that have come
  int64_t body_left;  // bytes of the body that have not come yet
  int in_pax;         // the body is a pax extended header's
  char pax[kPaxBytes];
  size_t pax_filled;
  char path[kPathBytes];  // the path of the next entry, from its pax header; empty without one
};

static inline int64_t parse_octal(const unsigned char* field, size_t width) {
  int64_t value = 0;
  for (size_t i = 0; i < width; i++) {
    if (field[i] >= '0' && field[i] <= '7') value = value * 8 + (field[i] - '0');
  }
  return value;
}

static inline void entries_fault(struct entries* e, const char* what) {
  if (e->fault == NULL) e->fault = what;
}

// Takes the path out of a pax extended header; its other records are the writer's own affair.
static inline void entries_read_pax(struct entries* e) {
  for (size_t at = 0; at < e->pax_filled;) {
    char* rest;
    long length = strtol(e->pax + at, &rest, 10);
    if (length <= 0 || at + (size_t)length > e->pax_filled || *rest != ' ') {
      entries_fault(e, "a pax record's length is wrong");
      return;
    }
    size_t value = (size_t)(rest - e->pax) + 1;
    size_t end = at + (size_t)length - 1;  // without the newline
    if (end - value > 5 && memcmp(e->pax + value, "path=", 5) == 0) {
      snprintf(e->path, sizeof e->path, "%.*s", (int)(end - value - 5), e->pax + value + 5);
    }
    at += (size_t)length;
  }
}

static inline void entries_read_header(struct entries* e) {
  const unsigned char* h = e->block;
  int64_t sum = 0;
  int blank = 1;
  for (size_t i = 0; i < kBlockBytes; i++) {
    sum += i >= 148 && i < 156 ? ' ' : h[i];
    blank &= h[i] == 0;
  }
  if (blank) return;  // a block of the end-of-archive marker
  if (memcmp(h + 257, "ustar", 5) != 0) entries_fault(e, "a block is no header");
  if (parse_octal(h + 148, 8) != sum) entries_fault(e, "a checksum is wrong");
  e->body_left = parse_octal(h + 124, 12);
  if (h[156] == 'x') {
    e->in_pax = 1;
    e->pax_filled = 0;
    if (e->body_left >= kPaxBytes) entries_fault(e, "a pax extended header is too large to check");
    return;
  }
  if (e->path[0] == 0) {
    int prefixed = h[345] != 0;
    snprintf(e->path, sizeof e->path, "%.*s%s%.*s", 155, prefixed ? (const char*)h + 345 : "",
             prefixed ? "/" : "", 100, (const char*)h);
  }
  int64_t numbers[] = {parse_octal(h + 100, 8) & 07777, parse_octal(h + 136, 12), e->body_left,
                       h[156] == 0 ? '0' : h[156]};
  e->hash = hash_bytes(e->hash, e->path, strlen(e->path) + 1);
  e->hash = hash_bytes(e->hash, numbers, sizeof numbers);
  e->path[0] = 0;
  e->count++;
}

static inline void entries_read_body(struct entries* e) {
  size_t n = e->body_left < kBlockBytes ? (size_t)e->body_left : kBlockBytes;
  if (!e->in_pax) {
    e->hash = hash_bytes(e->hash, e->block, n);
  } else if (e->pax_filled + n < kPaxBytes) {
    memcpy(e->pax + e->pax_filled, e->block, n);
    e->pax_filled += n;
    e->pax[e->pax_filled] = 0;
  }
  e->body_left -= (int64_t)n;
  if (e->body_left == 0 && e->in_pax) {
    entries_read_pax(e);
    e->in_pax = 0;
  }
}

static inline void entries_add(struct entries* e, const unsigned char* data, size_t size) {
  while (size > 0) {
    size_t n = kBlockBytes - e->filled < size ? kBlockBytes - e->filled : size;
    memcpy(e->block + e->filled, data, n);
    e->filled += n;
    data += n;
    size -= n;
    if (e->filled < kBlockBytes) return;
    e->filled = 0;
    if (e->body_left > 0) {
      entries_read_body(e);
    } else {
      entries_read_header(e);
    }
  }
}

#endif  // TARSPOUT_BENCH_ENTRIES_H_
