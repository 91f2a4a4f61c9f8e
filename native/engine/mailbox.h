// A channel's way between the threads: all that its mutex guards. JavaScript's thread puts items
// and wishes in and takes reports out; whoever steps the channel does the other half.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/messages.h"

namespace tarspout {

class Mailbox {
 public:
  // `notify`: there are reports. Called under the lock, by whoever steps.
  explicit Mailbox(std::function<void()> notify) : notify_(std::move(notify)) {}

  // ---- JavaScript's thread ----
  // Takes over the items. True: the engine looks by itself soon, and need not be woken for them.
  bool Put(std::vector<Item>* items);
  void WantOpen();
  void WantClose(int64_t linger_ns);
  void WantAbort();
  // From now on nobody is notified. False: the channel has told that it is closed, and has nothing
  // to detach.
  bool WantDetach();
  void AwaitDetached();
  std::vector<Report> TakeReports();

  // ---- whoever steps ----
  // Each is told once.
  struct Wishes {
    bool open = false;
    bool close = false;
    bool abort = false;
    bool detach = false;
    int64_t linger_ns = 0;  // close
  };
  Wishes Take(std::vector<Item>* items);
  // Whether the engine looks by itself soon. True: it does not, but items came that did not wake
  // it.
  bool SetAwaited(bool is_awaited);
  // Takes them over.
  void Tell(std::vector<Report>* reports, bool notifies);
  void Detached();

 private:
  std::mutex mutex_;
  std::condition_variable detached_;
  std::vector<Item> items_;
  std::vector<Report> reports_;
  Wishes wishes_;
  std::function<void()> notify_;
  bool is_awaited_ = false;
  bool is_closed_ = false;
  bool is_detached_ = false;
};

}  // namespace tarspout
