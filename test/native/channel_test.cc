// Channels on real FIFOs, driven as the binding drives them: threads that post archives and take
// reports, readers in threads of their own. What ThreadSanitizer, ASan and valgrind are to see of
// the engine, without Node.
#include "engine/channel.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "check.h"
#include "engine/arena.h"

namespace {

using tarspout::Channel;
using tarspout::ChannelOptions;
using tarspout::Chunk;
using tarspout::Failure;
using tarspout::Item;
using tarspout::Report;
using Kind = Report::Kind;

std::atomic<int> bodies_alive{0};

// A FIFO in a folder of its own.
class Fifo {
 public:
  Fifo() {
    char name[] = "/tmp/channel-test-XXXXXX";
    folder_ = ::mkdtemp(name);
    path_ = folder_ + "/out";
    CHECK(::mkfifo(path_.c_str(), 0600) == 0);
  }
  ~Fifo() {
    ::unlink(path_.c_str());
    ::rmdir(folder_.c_str());
  }
  const std::string& path() const { return path_; }

 private:
  std::string folder_;
  std::string path_;
};

// Reads until it is stopped, and opens the FIFO again after each end of file. Leaves connection i
// once it has read leave[i] bytes.
class Reader {
 public:
  explicit Reader(const Fifo& fifo, std::vector<size_t> leave = {})
      : path_(fifo.path()), leave_(std::move(leave)), thread_([this] { Run(); }) {}

  // What each connection gave, to be called once.
  std::vector<std::string> Stop() {
    is_stopped_ = true;
    while (!is_over_) {
      ::close(::open(path_.c_str(), O_RDWR | O_NONBLOCK));  // ends a blocked open() or read()
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    thread_.join();
    return std::move(connections_);
  }

 private:
  void Run() {
    for (size_t i = 0; !is_stopped_; ++i) {
      const int fd = ::open(path_.c_str(), O_RDONLY);
      const size_t most = i < leave_.size() ? leave_[i] : SIZE_MAX;
      std::string bytes;
      while (!is_stopped_ && bytes.size() < most) {
        const ssize_t got = ::read(fd, buffer_, std::min(sizeof(buffer_), most - bytes.size()));
        if (got <= 0) break;
        bytes.append(buffer_, static_cast<size_t>(got));
      }
      ::close(fd);
      connections_.push_back(std::move(bytes));
    }
    is_over_ = true;
  }

  const std::string path_;
  const std::vector<size_t> leave_;
  char buffer_[65536];
  std::vector<std::string> connections_;
  std::atomic<bool> is_stopped_{false}, is_over_{false};
  std::thread thread_;
};

// Bytes that differ from place to place and from archive to archive.
std::string ContentOf(uint64_t number, size_t size) {
  static const std::string pattern = [] {
    std::string bytes(1 << 20, ' ');
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>('a' + i * i / 7 % 23);
    return bytes;
  }();
  std::string content = "<" + std::to_string(number) + ":";
  while (content.size() < size) content += pattern.substr(number, size - content.size());
  return content + ">";
}

// The binding's part.
// A packing that keeps the size: each byte, changed.
constexpr uint8_t kPackedBy = 0x5a;

tarspout::Unpack ChangeBack() {
  using Memory = std::array<uint8_t, 3'000>;
  return [memory = std::make_shared<Memory>()](std::span<const uint8_t> packed, size_t* at) {
    const size_t size = std::min(memory->size(), packed.size() - *at);
    for (size_t i = 0; i < size; ++i) (*memory)[i] = packed[*at + i] ^ kPackedBy;
    *at += size;
    return std::span<const uint8_t>(memory->data(), size);
  };
}

class Client {
 public:
  explicit Client(ChannelOptions options)
      : channel_(std::make_shared<Channel>(Unpacking(std::move(options)), [this] { Notify(); })) {
    int error = 0;
    const Failure failure = channel_->Start(&error);
    if (!CHECK(failure == Failure::kNone))
      std::printf("    %d, errno %d\n", static_cast<int>(failure), error);
  }
  ~Client() {
    channel_->Detach();
    is_detached_ = true;
  }

  Channel& channel() { return *channel_; }

  void Begin(uint64_t number) { number_ = number; }

  // A borrowed body: its own memory, given back when its last segment goes.
  void Borrow(const std::string& bytes) {
    ++bodies_alive;
    const std::shared_ptr<const std::string> owner(new std::string(bytes),
                                                   [](const std::string* body) {
                                                     delete body;
                                                     --bodies_alive;
                                                   });
    Append(reinterpret_cast<const uint8_t*>(owner->data()), owner->size(), owner);
  }

  // Copied bytes: into chunks of the pool, one behind the other.
  void Copy(const std::string& bytes) {
    for (size_t at = 0; at < bytes.size();) {
      if (!chunk_ || used_ == Chunk::kSize) {
        chunk_ = tarspout::TakeChunk();
        used_ = 0;
      }
      uint8_t* to = chunk_->data + used_;
      const size_t size = bytes.copy(reinterpret_cast<char*>(to), Chunk::kSize - used_, at);
      Append(to, size, chunk_);
      used_ += size;
      at += size;
    }
  }

  void Pack(const std::string& bytes) {
    const auto packed = std::make_shared<std::string>(bytes);
    for (char& byte : *packed) byte = static_cast<char>(byte ^ kPackedBy);
    Append(reinterpret_cast<const uint8_t*>(packed->data()), packed->size(), packed);
    items_.back().segment.packed_size = packed->size();
  }

  void Post(Channel::Urgency urgency = Channel::Urgency::kNow) { channel_->Post(&items_, urgency); }

  void Finish() {
    items_.push_back({.number = number_, .then = Item::Then::kFinish});
    Post();
  }

  // The same where nothing stands before the archive.
  void FinishAlone() {
    items_.push_back({.number = number_, .then = Item::Then::kFinish});
    channel_->PostAlone(&items_);
    for (const Report& report : channel_->TakeReports()) reports_.push_back(report);
  }

  // Takes the open archive back.
  void Abort() {
    items_.push_back({.number = number_, .then = Item::Then::kAbort});
    Post();
  }

  void Send(uint64_t number, const std::string& content, bool is_alone = false) {
    Begin(number);
    const size_t third = content.size() / 3;
    Copy(content.substr(0, third));
    if (third > 0) Pack(content.substr(third, third));
    Borrow(content.substr(2 * third));
    is_alone ? FinishAlone() : Finish();
  }

  // Waits for the report that an archive ended in, or for one that is about no archive (number 0).
  Report Await(Kind kind, uint64_t number = 0) {
    for (;;) {
      std::unique_lock lock(mutex_);
      if (!notified_.wait_for(lock, std::chrono::seconds(60),
                              [this] { return is_notified_ || !reports_.empty(); })) {
        std::printf("no report of kind %d for archive %d\n", static_cast<int>(kind),
                    static_cast<int>(number));
        std::abort();
      }
      is_notified_ = false;
      lock.unlock();
      for (const Report& report : channel_->TakeReports()) reports_.push_back(report);
      while (!reports_.empty()) {
        const Report report = reports_.front();
        reports_.pop_front();
        const bool is_end = report.kind == Kind::kDelivered || report.kind == Kind::kFailed;
        if (is_end && kind != Kind::kFailed) CHECK(report.kind == Kind::kDelivered);
        if (report.kind == kind && report.number == number) return report;
      }
    }
  }

 private:
  static ChannelOptions Unpacking(ChannelOptions options) {
    options.make_unpack = ChangeBack;
    return options;
  }

  void Append(const uint8_t* data, size_t size, std::shared_ptr<const void> owner) {
    channel_->counters.accepted += static_cast<int64_t>(size);
    items_.push_back({.number = number_, .segment = {data, size, std::move(owner)}});
  }

  void Notify() {
    CHECK(!is_detached_);
    const std::lock_guard lock(mutex_);
    is_notified_ = true;
    notified_.notify_one();
  }

  std::atomic<bool> is_detached_{false};
  std::mutex mutex_;
  std::condition_variable notified_;
  bool is_notified_ = false;
  std::deque<Report> reports_;
  uint64_t number_ = 0;
  std::vector<Item> items_;
  std::shared_ptr<Chunk> chunk_;
  size_t used_ = 0;
  const std::shared_ptr<Channel> channel_;
};

// Sends archives of up to `largest` bytes, `ahead` of them before the first receipt is awaited, and
// looks for each in what was read.
void Exchange(ChannelOptions options, uint64_t count, uint64_t ahead, size_t largest,
              std::vector<size_t> leave = {}) {
  const Fifo fifo;
  options.path = fifo.path();
  Reader reader(fifo, std::move(leave));
  std::vector<std::string> contents;
  {
    Client client(std::move(options));
    const auto await = [&](uint64_t number) {
      CHECK(client.Await(Kind::kDelivered, number).attempts >= 1);
    };
    for (uint64_t number = 1; number <= count; ++number) {
      contents.push_back(ContentOf(number, number * 7919 % largest));
      client.Send(number, contents.back(), ahead == 0);
      if (number > ahead) await(number - ahead);
      client.channel().stalls.Max();
      CHECK(client.channel().counters.QueuedBytes() >= 0);
    }
    for (uint64_t number = count > ahead ? count - ahead + 1 : 1; number <= count; ++number)
      await(number);
    client.channel().Close(0);
    client.Await(Kind::kClosed);
  }
  std::string read;
  for (const std::string& connection : reader.Stop()) read += connection;
  size_t at = 0;
  for (const std::string& content : contents) {
    const size_t found = read.find(content, at);
    if (!CHECK(found != std::string::npos)) return;
    at = found + content.size();
  }
  CHECK(bodies_alive == 0);
}

TEST("archives arrive whole and in order, one a connection") { Exchange({}, 20, 1, 300'000); }

TEST("archives arrive whole and in order, many in flight") {
  Exchange({.path = "", .is_persistent = true}, 100, 8, 10'000);
}

TEST("archives arrive whole and in order, large ones by way of the stage") {
  for (const bool maps_pages : {false, true})
    Exchange({.path = "", .is_persistent = true, .maps_pages = maps_pages}, 60, 3, 3'000'000);
}

TEST("large archives arrive whole while who sends them waits, and a thread copies for the engine") {
  const Fifo fifo;
  const std::string content = ContentOf(7, 9'000'000);
  constexpr uint64_t kCount = 16;
  Reader reader(fifo);
  {
    Client client({.path = fifo.path(), .is_persistent = true});
    for (uint64_t number = 1; number <= kCount; ++number) {
      client.Begin(number);
      client.Borrow(content);
      client.Finish();
    }
    for (uint64_t number = 1; number <= kCount; ++number) client.Await(Kind::kDelivered, number);
    client.channel().Close(0);
    client.Await(Kind::kClosed);
  }
  std::string sent;
  for (uint64_t number = 1; number <= kCount; ++number) sent += content;
  std::string read;
  for (const std::string& connection : reader.Stop()) read += connection;
  CHECK(read == sent);
  CHECK(bodies_alive == 0);
}

TEST("archives arrive when the pages are mapped and the pipe is small") {
  Exchange({.path = "", .is_persistent = true, .maps_pages = true, .pipe_size = 4096}, 20, 2,
           100'000);
}

TEST("archives arrive whole and in order, each sent by the thread that hands it over") {
  Exchange({.path = "", .is_persistent = true}, 200, 0, 10'000);
  Exchange({.path = "", .is_persistent = true, .must_commit = true}, 50, 0, 10'000);
}

// What this thread has written anywhere, in bytes.
int64_t WrittenByThisThread() {
  std::FILE* io = std::fopen("/proc/thread-self/io", "r");
  long long read = 0, written = 0;
  CHECK(io != nullptr && std::fscanf(io, "rchar: %lld wchar: %lld", &read, &written) == 2);
  if (io != nullptr) std::fclose(io);
  return written;
}

TEST("an archive that nothing stands before is written by the thread that hands it over") {
  const Fifo fifo;
  Reader reader(fifo);
  const std::string content = ContentOf(1, 5'000);
  bool wrote_itself = false;
  {
    Client client({.path = fifo.path(), .is_persistent = true});
    // Not always: the engine may be at work.
    for (uint64_t number = 1; number <= 1000 && !wrote_itself; ++number) {
      const int64_t before = WrittenByThisThread();
      client.Send(number, content, true);
      wrote_itself = WrittenByThisThread() - before >= static_cast<int64_t>(content.size());
      client.Await(Kind::kDelivered, number);
    }
  }
  CHECK(wrote_itself);
  reader.Stop();
}

TEST("a reader that reads on confirms the commit") {
  Exchange({.path = "", .is_persistent = true, .must_commit = true}, 30, 4, 50'000);
}

TEST("archives arrive although the reader leaves in the middle of some") {
  Exchange({.path = "",
            .is_persistent = true,
            .spills = true,
            .retain_bytes = 16 << 10,
            .high_water = 32 << 10},
           30, 3, 100'000, {5'000, 400'000, 100, 500'000});
  Exchange({}, 20, 2, 200'000, {100, 400'000, 3});
  // Several in flight, and more ready than the pipe holds.
  Exchange({.path = "", .is_persistent = true}, 100, 8, 400'000,
           {4'000'000, 400'000, 2'000'000, 100, 9'000'000});
}

size_t CountOf(const std::string& bytes, const std::string& text) {
  size_t count = 0;
  for (size_t at = bytes.find(text); at != std::string::npos; at = bytes.find(text, at + 1))
    ++count;
  return count;
}

void SendInDoubt(bool maps_pages) {
  const Fifo fifo;
  std::atomic<bool> is_over{false};
  std::atomic<size_t> may_read{SIZE_MAX};
  std::string read;
  std::thread reader([&] {
    const int fd = ::open(fifo.path().c_str(), O_RDONLY);
    std::string buffer(65536, ' ');
    while (!is_over) {
      std::this_thread::sleep_for(std::chrono::microseconds(100));
      const size_t most = std::min(buffer.size(), may_read.load());
      const ssize_t got = most == 0 ? 0 : ::read(fd, buffer.data(), most);
      if (got <= 0) continue;
      read.append(buffer, 0, static_cast<size_t>(got));
      if (most < buffer.size()) may_read = 0;
    }
    ::close(fd);
  });
  {
    Client client({.path = fifo.path(),
                   .is_persistent = true,
                   .maps_pages = maps_pages,
                   .high_water = 4 << 20});
    const auto wait = [] { std::this_thread::sleep_for(std::chrono::milliseconds(50)); };
    uint64_t number = 0;
    do {
      ++number;
      client.Send(number, ContentOf(number, 100));
      client.Await(Kind::kDelivered, number);
    } while (client.channel().counters.is_wide == 0 && number < 100);
    may_read = 0;
    wait();
    const uint64_t first = number + 1;
    for (int i = 0; i < 6; ++i) {
      ++number;
      client.Begin(number);
      client.Borrow(ContentOf(number, 400'000));
      client.Finish();
    }
    may_read = 1000;
    wait();
    ::close(::open(fifo.path().c_str(), O_RDONLY | O_NONBLOCK));
    wait();
    may_read = SIZE_MAX;
    client.Await(Kind::kDelivered, number);
    client.channel().Close(0);
    client.Await(Kind::kClosed);
    is_over = true;
    reader.join();
    // A pipe of 1 MiB is full in the third, whose rest was made ready together with the fourth's
    // beginning.
    for (int i = 0; i < 6; ++i)
      CHECK(CountOf(read, "<" + std::to_string(first + i) + ":") == (i < 3 ? 2 : 1));
  }
}

TEST("in doubt an archive that nothing was sent of is not begun, however much is ready") {
  SendInDoubt(false);
  SendInDoubt(true);
}

TEST("an archive larger than everything is sent as it comes") {
  const Fifo fifo;
  Reader reader(fifo);
  Client client({.path = fifo.path(), .retain_bytes = 64 << 10, .high_water = 64 << 10});
  const std::string content = ContentOf(1, 4 << 20);
  client.Begin(1);
  for (size_t at = 0; at < content.size(); at += 40'000) {
    if (at % 80'000 == 0) {
      client.Borrow(content.substr(at, 40'000));
    } else {
      client.Pack(content.substr(at, 40'000));
    }
    client.Post(at == 0 ? Channel::Urgency::kNow : Channel::Urgency::kSoon);
    while (!client.channel().HasRoom()) {
      client.channel().WantRoom();
      client.Await(Kind::kRoom);
    }
  }
  client.Finish();
  CHECK(client.Await(Kind::kDelivered, 1).attempts == 1);
  CHECK(bodies_alive == 0);
  client.channel().Close(0);
  client.Await(Kind::kClosed);
  CHECK(reader.Stop().front() == content);
}

TEST("an archive that is aborted before anything was sent leaves nothing behind") {
  const Fifo fifo;
  Reader reader(fifo);
  {
    Client client({.path = fifo.path()});
    client.Begin(1);
    client.Borrow("not to be sent");
    // Posted, so that the engine has it.
    client.Post();
    client.Abort();
    client.Send(2, ContentOf(2, 100));
    client.Await(Kind::kDelivered, 2);
  }
  CHECK(reader.Stop().front() == ContentOf(2, 100));
  CHECK(bodies_alive == 0);
}

void AbortWhatIsReady(bool maps_pages) {
  const Fifo fifo;
  const std::string first = ContentOf(1, 100);
  std::thread first_reader([&] {
    const int fd = ::open(fifo.path().c_str(), O_RDONLY);
    std::string bytes(first.size(), ' ');
    CHECK(::read(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    ::close(fd);
  });
  Client client({.path = fifo.path(),
                 .is_persistent = true,
                 .maps_pages = maps_pages,
                 .high_water = 64 << 10});
  client.Send(1, first);
  client.Await(Kind::kDelivered, 1);
  first_reader.join();
  client.Begin(2);
  client.Borrow(ContentOf(2, 2 << 20));
  client.Post();
  while (client.channel().counters.epipe == 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  client.Abort();
  const std::string content = ContentOf(3, 1 << 20);
  client.Send(3, content);
  Reader reader(fifo);
  client.Await(Kind::kDelivered, 3);
  client.channel().Close(0);
  client.Await(Kind::kClosed);
  CHECK(reader.Stop().front() == content);
  CHECK(bodies_alive == 0);
}

TEST("an archive that is aborted once its bytes were ready to be sent leaves nothing behind") {
  AbortWhatIsReady(false);
  AbortWhatIsReady(true);
}

TEST("close() aborts what waits for a reader, and gives its memory back") {
  const Fifo fifo;
  Client client({.path = fifo.path()});
  client.Send(1, ContentOf(1, 100'000));
  client.channel().Abort();
  CHECK(client.Await(Kind::kFailed, 1).failure == Failure::kAborted);
  client.Await(Kind::kClosed);
  CHECK(bodies_alive == 0);
}

TEST("a channel can be detached at any moment; then it tells nothing and holds nothing") {
  for (int moment = 0; moment < 20; ++moment) {
    const Fifo fifo;
    const bool has_reader = moment % 3 != 0;
    std::unique_ptr<Reader> reader = has_reader ? std::make_unique<Reader>(fifo) : nullptr;
    {
      Client client({.path = fifo.path(), .is_persistent = moment % 2 == 0});
      client.Send(1, ContentOf(1, 100'000));
      client.Send(2, ContentOf(2, 100'000));
      if (moment % 5 == 4 && has_reader) client.Await(Kind::kDelivered, 1);
      std::this_thread::sleep_for(std::chrono::microseconds(moment * 50));
    }
    CHECK(bodies_alive == 0);
    if (reader) reader->Stop();
  }
}

TEST("a second channel on a FIFO is refused until the first is gone") {
  const Fifo fifo;
  int error = 0;
  {
    const Client client({.path = fifo.path()});
    ChannelOptions options{.path = fifo.path()};
    CHECK(std::make_shared<Channel>(options, [] {})->Start(&error) == Failure::kBusy);
  }
  const Client client({.path = fifo.path()});
}

TEST("several threads have channels of their own") {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([i] {
      const Fifo fifo;
      Reader reader(fifo);
      for (uint64_t round = 1; round <= 5; ++round) {
        Client client({.path = fifo.path(), .is_persistent = i % 2 == 0});
        for (uint64_t number = 1; number <= 5; ++number) {
          client.Send(number, ContentOf(number, 10'000), i >= 2);
          if (i >= 2) client.Await(Kind::kDelivered, number);
        }
        if (i < 2) client.Await(Kind::kDelivered, 5);
      }
      reader.Stop();
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(bodies_alive == 0);
}

}  // namespace

int main() { return check::RunAll("channel"); }
