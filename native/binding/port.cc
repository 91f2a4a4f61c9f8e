// A channel for JavaScript: `openChannel(options, onReports)` gives its port, whose number every
// other function takes first.
//
// Everything here runs on the thread of the environment that opened the channel, except what is
// marked. What is added becomes items (item_writer.h), which go to the engine many at a time.
#include <napi.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "binding/exports.h"
#include "binding/item_writer.h"
#include "engine/arena.h"
#include "engine/channel.h"
#include "tar/header.h"
#include "tar/packed_entries.h"
#include "tar/path_set.h"
#include "tar/plain_name.h"

namespace tarspout::binding {
namespace {

// Bodies up to here are copied behind their header: cheaper than a reference and a piece of their
// own.
constexpr size_t kCopyBytes = 16 << 10;
// Names that fit here, with the NUL that Node-API adds, take the hot path.
constexpr size_t kNameRoom = 1028;
// Handed to the engine at the latest then: the open archive, and those that were ended.
constexpr int64_t kFlushBytes = 512 << 10;
constexpr int64_t kKeptBytes = 64 << 10;
// So much may be written on this thread.
constexpr int64_t kInlineBytes = 64 << 10;

const uint8_t kZeros[2 * tar::kBlockSize] = {};

// What add() says, besides refusing.
enum Verdict : int32_t { kRefused = -1, kMore = 0, kWait = 1 };

int64_t IntOf(napi_env env, napi_value value) {
  int64_t number = 0;
  napi_get_value_int64(env, value, &number);
  return number;
}

napi_value NumberOf(napi_env env, int32_t number) {
  napi_value value = nullptr;
  napi_create_int32(env, number, &value);
  return value;
}

Bytes BytesOf(napi_env env, napi_value value) {
  napi_typedarray_type type;
  void* data = nullptr;
  size_t size = 0;
  if (napi_get_typedarray_info(env, value, &type, &size, &data, nullptr, nullptr) != napi_ok)
    return {};
  if (type != napi_uint8_array && type != napi_uint8_clamped_array) return {};
  return {static_cast<const uint8_t*>(data), data == nullptr ? 0 : size};
}

// A chunk begins at a page, as what is mapped should.
struct ChunkUnpacker {
  static_assert(Chunk::kSize == tar::EntryUnpacker::kMemoryBytes);
  const std::shared_ptr<Chunk> chunk = TakeChunk();
  tar::EntryUnpacker entries{chunk->data};
};

// Borrowed bodies whose last segment was dropped, on any thread, until JavaScript's thread lets go
// of them.
struct Returned {
  struct Body {
    napi_ref reference;
    size_t size;
    uint64_t archive;
  };
  std::mutex mutex;
  std::vector<Body> bodies;
};

class Port {
 public:
  Port(napi_env env, ChannelOptions options, bool checks_names)
      : env_(env),
        is_raw_(options.is_raw),
        checks_names_(checks_names),
        high_water_(options.high_water),
        channel_(std::make_shared<Channel>(std::move(options), [this] { Notify(); })) {}

  static void Init(Napi::Env env, Napi::Object exports);

 private:
  // The port, or why there is none: [failure, errno].
  static napi_value Open(napi_env env, napi_callback_info info);
  static uint32_t Enter(Port* port);

  using Urgency = Channel::Urgency;
  using Method = napi_value (Port::*)(napi_env, const napi_value* arguments);

  template <Method method>
  static napi_value Call(napi_env env, napi_callback_info info) {
    napi_value arguments[5] = {};
    size_t count = 5;
    napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
    uint32_t number = 0;
    napi_get_value_uint32(env, arguments[0], &number);
    if (number >= ports_.size() || ports_[number] == nullptr) return nullptr;
    return (ports_[number]->*method)(env, arguments + 1);
  }

  static void Collected(napi_env, void* data, void*);
  static void EnvironmentEnds(void* data);
  static void OnNotified(napi_env env, napi_value, void* context, void*);
  static void NotifierGone(napi_env, void* data, void*);
  void Shut();
  void Notify();  // engine thread

  // The functions that take a port.
  napi_value SetTemplate(napi_env env, const napi_value* arguments);
  napi_value Add(napi_env env, const napi_value* arguments);
  napi_value AddMany(napi_env env, const napi_value* arguments);
  napi_value AddEncoded(napi_env env, const napi_value* arguments);
  napi_value ClaimPath(napi_env env, const napi_value* arguments);
  napi_value Append(napi_env env, const napi_value* arguments);
  napi_value Write(napi_env env, const napi_value* arguments);
  napi_value Finish(napi_env env, const napi_value* arguments);
  napi_value AbortOpen(napi_env env, const napi_value* arguments);
  napi_value HandOver(napi_env, const napi_value*);
  napi_value WantRoom(napi_env, const napi_value*);
  napi_value WantOpen(napi_env, const napi_value*);
  napi_value Close(napi_env env, const napi_value* arguments);
  napi_value AbortAll(napi_env, const napi_value*);
  napi_value Stats(napi_env env, const napi_value*);
  napi_value KeepAlive(napi_env env, const napi_value* arguments);

  void Borrow(napi_env env, napi_value body, Bytes bytes);
  int64_t PutBytes(napi_env env, napi_value value);
  void PutBody(napi_env env, napi_value body, Bytes bytes);
  void Flush(Urgency urgency);
  void CountAccepted(int64_t bytes);
  Verdict Accepted(int64_t bytes);
  void Report(napi_env env);
  void LetGo(napi_env env);

  // Those of this thread, by their numbers; null: free.
  static inline thread_local std::vector<Port*> ports_;

  const napi_env env_;
  uint32_t number_ = 0;
  const bool is_raw_;
  const bool checks_names_;
  const int64_t high_water_;
  std::shared_ptr<Channel> channel_;
  std::shared_ptr<Returned> returned_ = std::make_shared<Returned>();
  std::unordered_set<uint64_t> spoiled_;  // archives whose borrowed memory was detached or resized
  napi_threadsafe_function notifier_ = nullptr;
  napi_ref on_reports_ = nullptr;
  bool is_shut_ = false;
  bool is_aborted_ = false;

  ItemWriter writer_;
  tar::PathSet<PoolMemory> paths_;  // of the open archive
  int64_t archive_bytes_ = 0;
  int64_t unflushed_ = 0;
};

// ---- life
// ----------------------------------------------------------------------------------------------------------

// openChannel(path, numbers, flags, onReports): numbers = [retainBytes, highWaterMark, pipeSize,
// maxAttempts, readerTimeoutMs or -1], flags = [raw, persistent, committed, zeroCopy, spill,
// checkNames].
napi_value Port::Open(napi_env env, napi_callback_info info) {
  napi_value arguments[4] = {};
  size_t count = 4;
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  const auto number = [&](uint32_t index) {
    napi_value value = nullptr;
    napi_get_element(env, arguments[1], index, &value);
    return IntOf(env, value);
  };
  const auto flag = [&](uint32_t index) {
    napi_value value = nullptr;
    bool is_set = false;
    napi_get_element(env, arguments[2], index, &value);
    napi_get_value_bool(env, value, &is_set);
    return is_set;
  };
  ChannelOptions options;
  options.path = Napi::Value(env, arguments[0]).As<Napi::String>().Utf8Value();
  options.retain_bytes = number(0);
  options.high_water = number(1);
  options.pipe_size = number(2);
  options.max_attempts = static_cast<uint32_t>(number(3));
  const int64_t timeout_ms = number(4);
  if (timeout_ms >= 0) options.reader_timeout_ns = timeout_ms * 1'000'000;
  options.is_raw = flag(0);
  options.is_persistent = flag(1) || options.is_raw;
  options.must_commit = flag(2);
  options.maps_pages = flag(3);
  options.spills = flag(4);

  options.make_unpack = []() -> Unpack {
    return [unpacker = std::make_shared<ChunkUnpacker>()](Bytes packed, size_t* at) {
      return unpacker->entries.Next(packed, at);
    };
  };

  auto port = std::make_shared<Port>(env, std::move(options), flag(5));
  int error = 0;
  const Failure failure = port->channel_->Start(&error);
  if (failure != Failure::kNone) {
    Napi::Array why = Napi::Array::New(env, 2);
    why.Set(0u, static_cast<int>(failure));
    why.Set(1u, error);
    return why;
  }
  napi_value name = Napi::String::New(env, "tarspout");
  napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1,
                                  new std::shared_ptr<Port>(port), NotifierGone, port.get(),
                                  OnNotified, &port->notifier_);
  napi_unref_threadsafe_function(env, port->notifier_);
  napi_create_reference(env, arguments[3], 1, &port->on_reports_);
  napi_add_env_cleanup_hook(env, EnvironmentEnds, port.get());

  // An External would do, but Node frees what it keeps of one only if it is collected.
  Napi::Object object = Napi::Object::New(env);
  object.Set("number", Enter(port.get()));
  napi_add_finalizer(env, object, new std::shared_ptr<Port>(port), Collected, nullptr, nullptr);
  return object;
}

// The first number that is free.
uint32_t Port::Enter(Port* port) {
  const auto at = std::find(ports_.begin(), ports_.end(), nullptr);
  port->number_ = static_cast<uint32_t>(at - ports_.begin());
  if (at == ports_.end()) ports_.push_back(nullptr);
  ports_[port->number_] = port;
  return port->number_;
}

// Nobody holds the port any more.
void Port::Collected(napi_env, void* data, void*) {
  const std::unique_ptr<std::shared_ptr<Port>> keep(static_cast<std::shared_ptr<Port>*>(data));
  Port& port = **keep;
  ports_[port.number_] = nullptr;
  if (!port.is_shut_) port.Shut();
}

// The environment (main thread or worker) ends, at any moment of any channel: its memory is not
// touched after this.
void Port::EnvironmentEnds(void* data) { static_cast<Port*>(data)->Shut(); }

// It was closed, is collected, or must end.
void Port::Shut() {
  is_shut_ = true;
  napi_remove_env_cleanup_hook(env_, EnvironmentEnds, this);
  channel_->Detach();
  writer_.LetGo();
  LetGo(env_);
  if (on_reports_ != nullptr) napi_delete_reference(env_, std::exchange(on_reports_, nullptr));
  napi_release_threadsafe_function(std::exchange(notifier_, nullptr), napi_tsfn_abort);
}

void Port::NotifierGone(napi_env, void* data, void*) {
  delete static_cast<std::shared_ptr<Port>*>(data);
}

// Engine thread, under the channel's lock; never after Detach().
void Port::Notify() { napi_call_threadsafe_function(notifier_, nullptr, napi_tsfn_nonblocking); }

void Port::OnNotified(napi_env env, napi_value, void* context, void*) {
  if (env != nullptr) static_cast<Port*>(context)->Report(env);
}

// ---- out to JavaScript
// ---------------------------------------------------------------------------------------------

// Calls onReports with a Float64Array, six numbers a report: kind, failure, archive, attempts,
// errno, blockedMs.
void Port::Report(napi_env env) {
  if (is_shut_) return;
  const std::vector<tarspout::Report> reports = channel_->TakeReports();
  LetGo(env);  // after the reports were taken: what they are about is among it
  if (reports.empty()) return;
  constexpr size_t kFields = 6;
  const size_t length = reports.size() * kFields;
  void* memory = nullptr;
  napi_value buffer = nullptr;
  napi_value array = nullptr;
  // A worker thread that is being terminated still calls, but takes nothing.
  if (napi_create_arraybuffer(env, length * sizeof(double), &memory, &buffer) != napi_ok) return;
  napi_create_typedarray(env, napi_float64_array, length, buffer, 0, &array);
  auto* out = static_cast<double*>(memory);
  bool has_closed = false;
  for (const tarspout::Report& report : reports) {
    auto kind = report.kind;
    has_closed |= kind == tarspout::Report::Kind::kClosed;
    auto failure = report.failure;
    if (kind == tarspout::Report::Kind::kDelivered && spoiled_.erase(report.number) > 0) {
      kind = tarspout::Report::Kind::kFailed;
      failure = Failure::kMemory;
    }
    *out++ = static_cast<double>(kind);
    *out++ = static_cast<double>(failure);
    *out++ = static_cast<double>(report.number);
    *out++ = report.attempts;
    *out++ = report.error;
    *out++ = static_cast<double>(report.blocked_ns) / 1e6;
  }
  napi_value callback = nullptr;
  napi_value undefined = nullptr;
  napi_get_reference_value(env, on_reports_, &callback);
  napi_get_undefined(env, &undefined);
  napi_value result = nullptr;
  if (napi_call_function(env, undefined, callback, 1, &array, &result) == napi_pending_exception) {
    napi_value error = nullptr;
    napi_get_and_clear_last_exception(env, &error);
    napi_fatal_exception(env, error);
  }
  // The port may be collected much later: V8 does not know what it costs.
  if (has_closed && !is_shut_) Shut();
}

void Port::LetGo(napi_env env) {
  std::vector<Returned::Body> bodies;
  {
    const std::lock_guard lock(returned_->mutex);
    bodies.swap(returned_->bodies);
  }
  if (bodies.empty()) return;
  const Napi::HandleScope scope(env);
  for (const Returned::Body& body : bodies) {
    napi_value value = nullptr;
    if (!is_shut_ && napi_get_reference_value(env, body.reference, &value) == napi_ok &&
        value != nullptr && BytesOf(env, value).size() != body.size) {
      spoiled_.insert(body.archive);
    }
    napi_delete_reference(env, body.reference);
  }
}

napi_value Port::Stats(napi_env env, const napi_value*) {
  const Counters& c = channel_->counters;
  const Histogram& stalls = channel_->stalls;
  const double ms = 1e-6;
  const double values[] = {
      static_cast<double>(c.state),
      static_cast<double>(c.is_tracked),
      static_cast<double>(c.QueuedBytes()),
      static_cast<double>(c.written),
      static_cast<double>(c.consumed),
      static_cast<double>(c.RetainedBytes()),
      static_cast<double>(c.pipe_capacity),
      static_cast<double>(c.pipe_unread),
      static_cast<double>(c.writes),
      static_cast<double>(c.short_writes),
      static_cast<double>(c.eagain),
      static_cast<double>(c.epipe),
      static_cast<double>(c.opens),
      static_cast<double>(c.replays),
      static_cast<double>(c.delivered),
      static_cast<double>(c.blocked_ns) * ms,
      static_cast<double>(c.waiting_for_reader_ns) * ms,
      static_cast<double>(stalls.Quantile(0.5)) * ms,
      static_cast<double>(stalls.Quantile(0.99)) * ms,
      static_cast<double>(stalls.Max()) * ms,
      static_cast<double>(c.is_wide),
      static_cast<double>(c.has_reader),
  };
  constexpr size_t kCount = sizeof(values) / sizeof(values[0]);
  void* memory = nullptr;
  napi_value buffer = nullptr;
  napi_value array = nullptr;
  if (napi_create_arraybuffer(env, sizeof(values), &memory, &buffer) != napi_ok) return nullptr;
  std::memcpy(memory, values, sizeof(values));
  napi_create_typedarray(env, napi_float64_array, kCount, buffer, 0, &array);
  return array;
}

// ---- in from JavaScript
// --------------------------------------------------------------------------------------------

// setTemplate(mode, mtimeS, uid, gid): what add() writes into headers beside name and size.
napi_value Port::SetTemplate(napi_env env, const napi_value* arguments) {
  tar::EntryHeader fixed;
  fixed.mode = IntOf(env, arguments[0]);
  fixed.mtime_s = IntOf(env, arguments[1]);
  fixed.uid = IntOf(env, arguments[2]);
  fixed.gid = IntOf(env, arguments[3]);
  napi_value result = nullptr;
  napi_get_boolean(env, writer_.SetTemplate(fixed), &result);
  return result;
}

// add(name, body | undefined): an entry of the template. The bytes of its header, plus 1 for kWait;
// or kRefused: something is to be said about it first, nothing was written.
napi_value Port::Add(napi_env env, const napi_value* arguments) {
  char name[kNameRoom];
  size_t name_bytes = 0;
  napi_get_value_string_utf8(env, arguments[0], name, sizeof(name), &name_bytes);
  const Bytes body = BytesOf(env, arguments[1]);
  const std::string_view text(name, name_bytes);
  // A full buffer may mean a cut name.
  if (name_bytes + 4 >= sizeof(name)) return NumberOf(env, kRefused);
  const bool is_plain = tar::IsPlainName(text);
  if (checks_names_ && !is_plain) return NumberOf(env, kRefused);
  size_t header_bytes = tar::kBlockSize;
  if (is_plain && ItemWriter::IsSmall(text, body)) {
    if (checks_names_ && !paths_.AddFile(text)) return NumberOf(env, kRefused);
    writer_.PutSmall(text, body);
  } else {
    const size_t copied =
        body.size() <= kCopyBytes ? body.size() + tar::PaddingBytes(body.size()) : 0;
    header_bytes = writer_.PrepareHeader(text, body.size(), copied);
    if (header_bytes == 0 || (checks_names_ && !paths_.AddFile(text)))
      return NumberOf(env, kRefused);
    writer_.PutHeader(header_bytes);
    PutBody(env, arguments[1], body);
  }
  const size_t bytes = header_bytes + body.size() + tar::PaddingBytes(body.size());
  return NumberOf(env, static_cast<int32_t>(header_bytes) + Accepted(static_cast<int64_t>(bytes)));
}

// addMany(records, bytes): entries of the template, small and with plain names without a slash, in
// an archive without folders, already packed.
napi_value Port::AddMany(napi_env env, const napi_value* arguments) {
  const Bytes records =
      BytesOf(env, arguments[0]).first(static_cast<size_t>(IntOf(env, arguments[1])));
  int64_t bytes = 0;
  for (Bytes rest = records; !rest.empty();) {
    const tar::PackedEntry entry = tar::FirstEntry(rest);
    if (checks_names_) paths_.AddFile(entry.name);
    bytes += EntryBytes(entry.body.size());
    rest = rest.subspan(entry.packed_bytes);
  }
  writer_.PutRecords(records, bytes);
  return NumberOf(env, Accepted(bytes));
}

// claimPath(path): whether the clean path of an entry that addEncoded() is to add is free for a
// file.
napi_value Port::ClaimPath(napi_env env, const napi_value* arguments) {
  size_t bytes = 0;
  napi_get_value_string_utf8(env, arguments[0], nullptr, 0, &bytes);
  std::string path(bytes + 1, '\0');
  napi_get_value_string_utf8(env, arguments[0], path.data(), bytes + 1, &bytes);
  path.resize(bytes);
  napi_value result = nullptr;
  napi_get_boolean(env, paths_.AddFile(path), &result);
  return result;
}

// addEncoded(header, body | undefined)
napi_value Port::AddEncoded(napi_env env, const napi_value* arguments) {
  const Bytes header = BytesOf(env, arguments[0]);
  const Bytes body = BytesOf(env, arguments[1]);
  writer_.Copy(header);
  PutBody(env, arguments[1], body);
  const size_t bytes = header.size() + body.size() + tar::PaddingBytes(body.size());
  return NumberOf(env, Accepted(static_cast<int64_t>(bytes)));
}

// append(bytes): a part of a body, or its padding.
napi_value Port::Append(napi_env env, const napi_value* arguments) {
  return NumberOf(env, Accepted(PutBytes(env, arguments[0])));
}

// write(chunks): into a raw channel. A little that nothing stands before is written by this call.
napi_value Port::Write(napi_env env, const napi_value* arguments) {
  const bool is_first = channel_->counters.QueuedBytes() == 0;
  uint32_t count = 0;
  napi_get_array_length(env, arguments[0], &count);
  int64_t bytes = 0;
  for (uint32_t i = 0; i < count; ++i) {
    napi_value chunk = nullptr;
    napi_get_element(env, arguments[0], i, &chunk);
    bytes += PutBytes(env, chunk);
  }
  CountAccepted(bytes);
  if (is_first && bytes <= kInlineBytes) {
    channel_->PostInline(writer_.Items());
    Report(env);
  } else {
    Flush(Urgency::kNow);
  }
  return NumberOf(env, channel_->HasRoom() ? kMore : kWait);
}

// finish(isAlone): the end-of-archive marker (not on a raw channel) and the end of the archive. The
// next one begins; they are numbered from 1 on. One that is not alone may be kept until handOver().
napi_value Port::Finish(napi_env env, const napi_value* arguments) {
  bool is_alone = false;
  napi_get_value_bool(env, arguments[0], &is_alone);
  if (!is_raw_) {
    writer_.Copy(kZeros);
    archive_bytes_ += sizeof(kZeros);
    unflushed_ += sizeof(kZeros);
    CountAccepted(sizeof(kZeros));
  }
  const bool is_little = archive_bytes_ <= kInlineBytes;
  paths_.Clear();
  archive_bytes_ = 0;
  writer_.Finish();
  if (is_alone && is_little) {
    unflushed_ = 0;
    channel_->PostAlone(writer_.Items());
    Report(env);
  } else if (is_raw_ || is_alone || unflushed_ >= kKeptBytes) {
    Flush(Urgency::kNow);
  }
  napi_value result = nullptr;
  napi_get_boolean(env, channel_->HasRoom(), &result);
  return result;
}

// abortOpen(insideBody)
napi_value Port::AbortOpen(napi_env env, const napi_value* arguments) {
  bool inside_body = false;
  napi_get_value_bool(env, arguments[0], &inside_body);
  paths_.Clear();
  archive_bytes_ = 0;
  writer_.Abort(inside_body);
  Flush(Urgency::kNow);
  return nullptr;
}

// handOver(): the archives that finish() kept.
napi_value Port::HandOver(napi_env, const napi_value*) {
  Flush(Urgency::kNow);
  return nullptr;
}

napi_value Port::WantRoom(napi_env, const napi_value*) {
  Flush(Urgency::kNow);
  channel_->WantRoom();
  return nullptr;
}

napi_value Port::WantOpen(napi_env, const napi_value*) {
  channel_->WantOpen();
  return nullptr;
}

// close(lingerMs)
napi_value Port::Close(napi_env env, const napi_value* arguments) {
  Flush(Urgency::kLater);  // Close() wakes the engine
  channel_->Close(IntOf(env, arguments[0]) * 1'000'000);
  return nullptr;
}

napi_value Port::AbortAll(napi_env, const napi_value*) {
  is_aborted_ = true;
  channel_->Abort();
  return nullptr;
}

// keepAlive(whether): whether something is pending that the process must live for.
napi_value Port::KeepAlive(napi_env env, const napi_value* arguments) {
  bool keep = false;
  napi_get_value_bool(env, arguments[0], &keep);
  if (is_shut_) return nullptr;
  if (keep) {
    napi_ref_threadsafe_function(env, notifier_);
  } else {
    napi_unref_threadsafe_function(env, notifier_);
  }
  return nullptr;
}

int64_t Port::PutBytes(napi_env env, napi_value value) {
  const Bytes bytes = BytesOf(env, value);
  if (bytes.size() <= kCopyBytes) {
    writer_.Copy(bytes);
  } else {
    Borrow(env, value, bytes);
  }
  return static_cast<int64_t>(bytes.size());
}

void Port::PutBody(napi_env env, napi_value body, Bytes bytes) {
  if (bytes.size() <= kCopyBytes) {
    writer_.CopyPadded(bytes);
    return;
  }
  Borrow(env, body, bytes);
  writer_.Copy(Bytes(kZeros).first(tar::PaddingBytes(bytes.size())));
}

void Port::Borrow(napi_env env, napi_value body, Bytes bytes) {
  napi_ref reference = nullptr;
  napi_create_reference(env, body, 1, &reference);
  const auto give_back = [returned = returned_, reference, bytes,
                          archive = writer_.archive()](const void*) {
    const std::lock_guard lock(returned->mutex);
    returned->bodies.push_back({reference, bytes.size(), archive});
  };
  writer_.Lend(bytes, std::shared_ptr<const void>(bytes.data(), give_back));
}

void Port::Flush(Urgency urgency) {
  unflushed_ = 0;
  std::vector<Item>* items = writer_.Items();
  if (is_aborted_) {
    items->clear();  // the engine may be done with the channel, and would keep them
    LetGo(env_);
  } else if (!items->empty()) {
    channel_->Post(items, urgency);
  }
}

// Not by +=, which would lock, and wait until all that was copied is in the caches.
void Port::CountAccepted(int64_t bytes) {
  Counters::Counter& accepted = channel_->counters.accepted;
  accepted.store(accepted.load(std::memory_order_relaxed) + bytes, std::memory_order_relaxed);
}

Verdict Port::Accepted(int64_t bytes) {
  archive_bytes_ += bytes;
  unflushed_ += bytes;
  CountAccepted(bytes);
  const bool has_room = channel_->HasRoom();
  // Before it is whole, the engine sends an archive only once it has grown past the high water
  // mark.
  if (!has_room || unflushed_ >= kFlushBytes)
    Flush(archive_bytes_ >= high_water_ ? Urgency::kSoon : Urgency::kLater);
  return has_room ? kMore : kWait;
}

void Port::Init(Napi::Env env, Napi::Object exports) {
  const auto expose = [&](const char* name, napi_callback call) {
    napi_value function = nullptr;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, call, nullptr, &function);
    exports.Set(name, function);
  };
  expose("openChannel", Open);
  expose("setTemplate", Call<&Port::SetTemplate>);
  expose("add", Call<&Port::Add>);
  expose("addMany", Call<&Port::AddMany>);
  expose("addEncoded", Call<&Port::AddEncoded>);
  expose("claimPath", Call<&Port::ClaimPath>);
  expose("append", Call<&Port::Append>);
  expose("write", Call<&Port::Write>);
  expose("finish", Call<&Port::Finish>);
  expose("abortOpen", Call<&Port::AbortOpen>);
  expose("handOver", Call<&Port::HandOver>);
  expose("wantRoom", Call<&Port::WantRoom>);
  expose("wantOpen", Call<&Port::WantOpen>);
  expose("close", Call<&Port::Close>);
  expose("abortAll", Call<&Port::AbortAll>);
  expose("stats", Call<&Port::Stats>);
  expose("keepAlive", Call<&Port::KeepAlive>);
}

}  // namespace

void InitEngine(Napi::Env env, Napi::Object exports) { Port::Init(env, exports); }

}  // namespace tarspout::binding
