// The system calls on a FIFO's two ends, each in its EINTR loop. Sources: fifo(7), pipe(7),
// fcntl(2), unix(7).
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "fifo/fd.h"

namespace tarspout::fifo {

// Which FIFO this is, whatever its path. Two paths may name one, and one path may come to name
// another.
struct Identity {
  uint64_t device = 0;
  uint64_t inode = 0;
  bool operator==(const Identity&) const = default;
};

// What stat(2) tells of a path, symbolic links followed. `error` is an errno, 0 if none.
struct PathInfo {
  int error = 0;
  bool is_fifo = false;
  bool is_writable = false;
  Identity identity;
};
PathInfo Inspect(const std::string& path);

// An opened descriptor, or the errno that open(2) failed with.
struct Opened {
  Fd fd;
  int error = 0;
};

// Opens the write end without blocking and without ever creating the file. ENXIO: no reader has the
// FIFO open or is blocked opening it (fifo(7)).
Opened OpenWriteEnd(const std::string& path);

// Opens the read end without blocking: only to look, it is never read.
Opened OpenReadEnd(const std::string& path);

Identity IdentityOf(const Fd& fd);

// Bytes written, or -errno.
int64_t Write(const Fd& fd, const iovec* pieces, int count);

// Maps the pieces' pages into the pipe instead of copying them (vmsplice(2)). Bytes mapped, or
// -errno.
int64_t MapIn(const Fd& fd, const iovec* pieces, int count);

// Moves pages from one pipe into another (splice(2)). Bytes moved, or -errno.
int64_t Move(const Fd& from, const Fd& to, int64_t most);

// Bytes in the pipe that no reader has taken yet. FIONREAD works on the write end too (pipe(7)).
int64_t Unread(const Fd& fd);

// Whether any reader has the FIFO open: poll(2) raises POLLERR on a write end without one.
bool HasReader(const Fd& write_end);

// Asks for a pipe capacity (F_SETPIPE_SZ); a larger one than there is, refused, is asked for by
// halves.
void SetCapacity(const Fd& fd, int64_t bytes);
int64_t Capacity(const Fd& fd);

// How full a pipe is, told by a descriptor of either end that stays its owner's; both 0 if it is
// none.
struct Filling {
  int64_t unread = 0;
  int64_t capacity = 0;
};
Filling FillingOf(int fd);

// Gives the pipe a capacity that no new one has: whoever opens the FIFO again knows by it whether
// this pipe is still there. Returns it; 0: the system grants none.
int64_t MarkPipe(const Fd& fd);

// Claims a FIFO for one writer: an abstract unix socket named after it, which the kernel frees when
// the process ends. Closed descriptor with EADDRINUSE: another tarspout has it. Seen within one
// network namespace.
Opened Claim(const Identity& identity);

}  // namespace tarspout::fifo
