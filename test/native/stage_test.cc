// The pipe before the FIFO, with real pipes.
#include "fifo/stage.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <random>
#include <string>
#include <string_view>

#include "check.h"
#include "fifo/fifo.h"

namespace {

using tarspout::fifo::Fd;
using tarspout::fifo::Stage;

struct Ends {
  Fd read_end, write_end;
};

Ends MakePipe(int64_t capacity = 64 << 10) {
  int ends[2];
  CHECK(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
  Ends made{Fd(ends[0]), Fd(ends[1])};
  tarspout::fifo::SetCapacity(made.write_end, capacity);
  return made;
}

std::string ReadAll(const Fd& fd, size_t most = SIZE_MAX) {
  std::string bytes;
  char buffer[4096];
  for (;;) {
    const ssize_t got = ::read(fd.get(), buffer, std::min(sizeof(buffer), most - bytes.size()));
    if (got <= 0) return bytes;
    bytes.append(buffer, static_cast<size_t>(got));
  }
}

int64_t Fill(Stage& stage, int64_t position, std::string_view bytes) {
  const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
  return stage.Copy(position, &piece, 1);
}

int64_t Map(Stage& stage, int64_t position, std::string_view bytes) {
  const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
  return stage.Map(position, &piece, 1);
}

int OpenDescriptors() {
  int count = 0;
  for (int fd = 0; fd < 256; ++fd) count += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

std::string Letters(size_t size) {
  std::string bytes(size, ' ');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>('a' + i * i / 11 % 26);
  return bytes;
}

TEST("what was filled in is moved, as far as it is asked for") {
  const Ends fifo = MakePipe();
  Stage stage;
  CHECK(Fill(stage, 0, "abc") == 3);
  CHECK(Fill(stage, 3, "defgh") == 5);
  CHECK(stage.BytesAt(0) == 8);
  CHECK(stage.MoveTo(fifo.write_end, 2) == 2);
  CHECK(stage.MoveTo(fifo.write_end, 4) == 4);
  CHECK(stage.BytesAt(6) == 2);
  CHECK(ReadAll(fifo.read_end) == "abcdef");
  CHECK(Fill(stage, 8, "i") == 1);
  CHECK(stage.MoveTo(fifo.write_end, 100) == 3);
  CHECK(ReadAll(fifo.read_end) == "ghi");
}

TEST("what was mapped is moved as it then is, and copies may come behind") {
  const Ends fifo = MakePipe();
  std::string bytes = Letters(10'000);
  Stage stage;
  CHECK(Map(stage, 0, bytes) == 10'000);
  CHECK(Fill(stage, 10'000, "copied") == 6);
  CHECK(Map(stage, 10'006, bytes) == 10'000);
  CHECK(stage.MoveTo(fifo.write_end, 6'000) == 6'000);
  CHECK(stage.MoveTo(fifo.write_end, 100'000) == 14'006);
  bytes[0] = bytes[9'999] = '!';
  CHECK(ReadAll(fifo.read_end) == bytes + "copied" + bytes);
}

TEST("bytes of another position are dropped") {
  const Ends fifo = MakePipe();
  Stage stage;
  Fill(stage, 0, "old");
  CHECK(stage.MoveTo(fifo.write_end, 1) == 1);
  CHECK(stage.BytesAt(0) == 0);  // it held what begins at 1
  CHECK(Fill(stage, 0, "new") == 3);
  CHECK(stage.BytesAt(0) == 3);
  stage.MoveTo(fifo.write_end, 3);
  CHECK(ReadAll(fifo.read_end) == "onew");
}

TEST("a full FIFO takes what there is room for, the rest stays") {
  const Ends fifo = MakePipe(8192);
  const std::string bytes = Letters(20'000);
  Stage stage;
  CHECK(Fill(stage, 7, bytes) == 20'000);
  CHECK(stage.MoveTo(fifo.write_end, 20'000) == 8192);
  CHECK(stage.MoveTo(fifo.write_end, 20'000) == -EAGAIN);
  std::string read = ReadAll(fifo.read_end);
  CHECK(stage.BytesAt(7 + 8192) == 20'000 - 8192);
  while (read.size() < bytes.size() && CHECK(stage.MoveTo(fifo.write_end, 20'000) > 0))
    read += ReadAll(fifo.read_end);
  CHECK(read == bytes);
}

TEST("without a reader it says so, and keeps what it holds") {
  ::signal(SIGPIPE, SIG_IGN);
  Ends fifo = MakePipe();
  fifo.read_end.Close();
  Stage stage;
  Fill(stage, 0, "abc");
  CHECK(stage.MoveTo(fifo.write_end, 3) == -EPIPE);
  const Ends next = MakePipe();
  CHECK(stage.MoveTo(next.write_end, stage.BytesAt(0)) == 3);
  CHECK(ReadAll(next.read_end) == "abc");
}

TEST("a full stage takes nothing") {
  const Ends fifo = MakePipe();
  Stage stage;
  const std::string bytes = Letters(4 << 20);
  const int64_t filled = Fill(stage, 0, bytes);
  CHECK(filled > 0 && filled < 4 << 20);
  CHECK(Fill(stage, filled, "x") == 0);
  CHECK(stage.BytesAt(0) == filled);
}

TEST("memory that is not there is told, and what was filled in before stays") {
  Stage stage;
  const iovec nowhere{reinterpret_cast<void*>(16), 10};
  CHECK(stage.Copy(0, &nowhere, 1) == -EFAULT);
  Fill(stage, 0, "abc");
  CHECK(stage.Copy(3, &nowhere, 1) == -EFAULT);
  CHECK(stage.BytesAt(0) == 3);
}

TEST("without descriptors left it takes nothing, from then on") {
  rlimit before;
  ::getrlimit(RLIMIT_NOFILE, &before);
  rlimit none{0, before.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &none);
  Stage stage;
  CHECK(Fill(stage, 0, "abc") == 0 && stage.IsRefused());
  ::setrlimit(RLIMIT_NOFILE, &before);
  CHECK(Fill(stage, 0, "abc") == 0);
}

TEST("where pages cannot be moved it gives up, and holds nothing") {
  const Fd not_a_pipe(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  Stage stage;
  Fill(stage, 0, "abc");
  CHECK(stage.MoveTo(not_a_pipe, 3) == 0);
  CHECK(stage.BytesAt(0) == 0 && stage.IsRefused());
  CHECK(Fill(stage, 0, "abc") == 0);
}

TEST("dropped, closed or gone it keeps no descriptor") {
  const int before = OpenDescriptors();
  {
    Stage stage;
    Fill(stage, 0, "abc");
    CHECK(OpenDescriptors() == before + 2);
    stage.Drop();
    CHECK(OpenDescriptors() == before);
    Fill(stage, 0, "abc");
    stage.Close();
    CHECK(OpenDescriptors() == before && stage.BytesAt(0) == 0);
    Fill(stage, 0, "abc");
  }
  CHECK(OpenDescriptors() == before);
}

void FillMoveAndGoBack(int64_t (*fill)(Stage& stage, int64_t position, std::string_view bytes)) {
  std::mt19937 random(5);
  const auto upTo = [&](size_t most) { return static_cast<int64_t>(random() % (most + 1)); };
  const std::string stream = Letters(6 << 20);
  const Ends fifo = MakePipe();
  Stage stage;
  int64_t next = 0;
  std::string expected, read;
  for (int i = 0; i < 5'000; ++i) {
    if (random() % 50 == 0) next = upTo(stream.size() - (2 << 20));
    const int64_t staged = stage.BytesAt(next);
    const auto from = static_cast<size_t>(next + staged);
    fill(stage, next + staged,
         std::string_view(stream).substr(from, static_cast<size_t>(upTo(30'000))));
    const int64_t held = stage.BytesAt(next);
    const int64_t moved = held == 0 ? 0 : stage.MoveTo(fifo.write_end, 1 + upTo(60'000));
    CHECK(moved >= 0 || moved == -EAGAIN);
    if (moved > 0) {
      expected += stream.substr(static_cast<size_t>(next), static_cast<size_t>(moved));
      next += moved;
    }
    if (next > static_cast<int64_t>(stream.size()) - (2 << 20)) next = 0;
    read += ReadAll(fifo.read_end, static_cast<size_t>(upTo(60'000)));
  }
  read += ReadAll(fifo.read_end);
  CHECK(expected.size() > 10'000'000 && read == expected);
}

TEST("whatever is filled, moved, read and gone back to, the FIFO's bytes are the stream's") {
  FillMoveAndGoBack(Fill);
  FillMoveAndGoBack(Map);
}

}  // namespace

int main() { return check::RunAll("stage"); }
