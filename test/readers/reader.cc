// A stand-in for the process that reads a spout's FIFO, one per generation of Pachyderm:
//   A  1.9 and 1.10:   opens the FIFO for each archive, starts a commit at once, finishes it,
//   closes, opens again. B  1.11.0 to .2:   holds the FIFO; starts a commit at the first header;
//   finishes it after one more open of the FIFO. C  1.11.3 and on:  holds the FIFO; skips zero
//   blocks between archives; commits an archive once it has all of it.
// A and B finish what they got of a broken archive, C drops it. Exit codes: 0 after SIGTERM, 2
// usage, 3 a tar error under `--on-error exit`, 4 the FIFO cannot be opened or read.
#include <memory>
#include <vector>

#include "commit.h"
#include "faults.h"
#include "options.h"
#include "source.h"
#include "tar_reader.h"

namespace readers {
namespace {

class Reader {
 public:
  Reader(Options& options, Plan& plan, const Events& events)
      : plan_(plan),
        events_(events),
        generation_(options.Text("--generation", "C")),
        fifo_(options.Text("--fifo", "")),
        source_(fifo_, plan, events),
        log_(options.Text("--log", "/dev/null"), plan.run),
        finish_min_ms_(options.Number("--finish-ms", 0)),
        finish_max_ms_(options.Number("--finish-max-ms", finish_min_ms_)),
        backoff_ms_(options.Number("--backoff-ms", 250)),
        backoff_max_ms_(options.Number("--backoff-max-ms", 22500)),
        commits_(options.Number("--commits", 0)),
        ask_late_at_(options.Number("--ask-late-at", 0)),
        ask_late_ms_(options.Number("--ask-late-ms", 0)),
        exit_on_error_(options.Text("--on-error", generation_ == "C" ? "exit" : "reopen") ==
                       "exit") {}

  // Exits with status 2 where an option's value makes no sense.
  void Check() const {
    if (generation_ != "A" && generation_ != "B" && generation_ != "C") {
      Options::Die("--generation: expected A, B or C, found " + generation_);
    }
    if (fifo_.empty()) Options::Die("--fifo is missing");
  }

  int Run() {
    SleepUs(plan_.start_ms * 1000);
    for (;;) {
      if (!source_.is_open()) {
        if (const Status status = source_.Open(); status != Status::kOk) return ExitCode(status);
      }
      source_.BeginArchive();
      const Status status = generation_ == "A"   ? ArchiveA()
                            : generation_ == "B" ? ArchiveB()
                                                 : ArchiveC();
      if (commits_ > 0 && log_.count() >= commits_) return 0;
      if (status == Status::kEof) continue;
      if (EndsProcess(status)) return ExitCode(status);
      events_.Tell(std::string("error ") + Name(status));
      source_.Close();
      if (status == Status::kClose) {
        SleepUs(plan_.reopen_us);
      } else if (exit_on_error_) {
        return 3;
      } else {
        BackOff();
      }
    }
  }

 private:
  static bool EndsProcess(Status status) {
    return status == Status::kStop || status == Status::kSystem;
  }

  static int ExitCode(Status status) { return status == Status::kStop ? 0 : 4; }

  Status ArchiveA() {
    Commit commit;
    TarReader tar(source_);
    const Status status = ReadEntries(tar, &commit, nullptr);
    if (EndsProcess(status)) return status;
    Finish(commit, status);
    source_.Close();
    return status;
  }

  Status ArchiveB() {
    std::unique_ptr<Commit> commit;
    TarReader tar(source_);
    const Status status = ReadEntries(tar, nullptr, &commit);
    if (EndsProcess(status)) return status;
    if (status == Status::kEof) {
      if (commit != nullptr && ++archives_ == ask_late_at_) SleepUs(ask_late_ms_ * 1000);
      if (const Status waited = source_.OpenAndWait(); waited != Status::kOk) return waited;
    }
    if (commit != nullptr) Finish(*commit, status);
    return status;
  }

  Status ArchiveC() {
    Block block = {};
    do {
      const Status status = source_.ReadFull(block.data(), kBlock);
      if (status == Status::kEof || status == Status::kUnexpectedEof) {
        // A part of a first header is dropped without a word.
        if (const Status waited = source_.OpenAndWait(); waited != Status::kOk) return waited;
        block = {};
      } else if (status != Status::kOk) {
        return status;
      }
    } while (IsZero(block));
    TarReader tar(source_);
    tar.Unread(block);
    Commit commit;
    const Status status = ReadEntries(tar, &commit, nullptr);
    if (status == Status::kEof) Finish(commit, status);
    return status;
  }

  // Reads entries until the archive ends (kEof) or breaks, into `commit`, or into one begun at the
  // first header.
  Status ReadEntries(TarReader& tar, Commit* commit, std::unique_ptr<Commit>* begun) {
    std::vector<uint8_t> piece(32 * 1024);  // what Go's io.Copy reads at a time
    TarHeader header;
    for (;;) {
      Status status = tar.Next(&header);
      if (status != Status::kOk) return status;
      if (commit == nullptr) {
        *begun = std::make_unique<Commit>();
        commit = begun->get();
      }
      CommitEntry& entry = commit->entries.emplace_back();
      entry.name = header.name;
      entry.declared = header.size;
      while (status == Status::kOk) {
        size_t count = 0;
        status = tar.ReadBody(piece.data(), piece.size(), &count);
        entry.hash = Crc32(entry.hash, piece.data(), count);
        entry.size += static_cast<int64_t>(count);
      }
      if (status != Status::kEof) return status;
    }
  }

  // FinishCommit: takes a while, with the read end open; only then the commit is there.
  void Finish(const Commit& commit, Status end) {
    events_.Tell("finishing");
    const int64_t us =
        (finish_min_ms_ + plan_.random.Below(finish_max_ms_ - finish_min_ms_ + 1)) * 1000;
    if (plan_.kill_finishing) {
      SleepUs(us / 2);
      kill(getpid(), SIGKILL);
    }
    SleepUs(us);
    log_.Append(commit, end);
    events_.Tell("finished " + std::to_string(log_.count()));
  }

  // Grows by half each time and never shrinks, each wait spread by half around it.
  void BackOff() {
    const int64_t us = backoff_ms_ * 1000;
    SleepUs(us / 2 + plan_.random.Below(us + 1));
    backoff_ms_ = std::min(backoff_ms_ + backoff_ms_ / 2, backoff_max_ms_);
  }

  Plan& plan_;
  const Events& events_;
  std::string generation_;
  std::string fifo_;
  Source source_;
  CommitLog log_;
  int64_t finish_min_ms_;
  int64_t finish_max_ms_;
  int64_t backoff_ms_;
  int64_t backoff_max_ms_;
  int64_t commits_;
  // Generation B: after which archive it looks for a writer late, and how late.
  int64_t ask_late_at_;
  int64_t ask_late_ms_;
  int64_t archives_ = 0;
  bool exit_on_error_;
};

int Main(int argc, char** argv) {
  Options options(argc, argv);
  Plan plan(options);
  const Events events(options.Flag("--events"));
  Reader reader(options, plan, events);
  options.Finish();
  reader.Check();
  InstallStop();
  return reader.Run();
}

}  // namespace
}  // namespace readers

int main(int argc, char** argv) { return readers::Main(argc, argv); }
