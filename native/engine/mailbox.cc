#include "engine/mailbox.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace tarspout {

bool Mailbox::Put(std::vector<Item>* items) {
  bool is_awaited;
  {
    const std::lock_guard lock(mutex_);
    is_awaited = is_awaited_;
    if (items_.empty()) {
      items_.swap(*items);
    } else {
      std::move(items->begin(), items->end(), std::back_inserter(items_));
    }
  }
  items->clear();
  return is_awaited;
}

void Mailbox::WantOpen() {
  const std::lock_guard lock(mutex_);
  wishes_.open = true;
}

void Mailbox::WantClose(int64_t linger_ns) {
  const std::lock_guard lock(mutex_);
  wishes_.close = true;
  wishes_.linger_ns = linger_ns;
}

void Mailbox::WantAbort() {
  const std::lock_guard lock(mutex_);
  wishes_.abort = true;
}

bool Mailbox::WantDetach() {
  const std::lock_guard lock(mutex_);
  notify_ = nullptr;
  wishes_.detach = !is_closed_;
  return wishes_.detach;
}

void Mailbox::AwaitDetached() {
  std::unique_lock lock(mutex_);
  detached_.wait(lock, [this] { return is_detached_; });
}

std::vector<Report> Mailbox::TakeReports() {
  std::vector<Report> taken;
  const std::lock_guard lock(mutex_);
  taken.swap(reports_);
  return taken;
}

Mailbox::Wishes Mailbox::Take(std::vector<Item>* items) {
  const std::lock_guard lock(mutex_);
  items->swap(items_);
  return std::exchange(wishes_, {});
}

bool Mailbox::SetAwaited(bool is_awaited) {
  const std::lock_guard lock(mutex_);
  is_awaited_ = is_awaited;
  return !is_awaited && !items_.empty();
}

void Mailbox::Tell(std::vector<Report>* reports, bool notifies) {
  const std::lock_guard lock(mutex_);
  is_closed_ |= reports->back().kind == Report::Kind::kClosed;
  if (notify_) {
    const bool was_empty = reports_.empty();
    reports_.insert(reports_.end(), reports->begin(), reports->end());
    if (was_empty && notifies) notify_();
  }
  reports->clear();
}

void Mailbox::Detached() {
  const std::lock_guard lock(mutex_);
  is_detached_ = true;
  detached_.notify_all();
}

}  // namespace tarspout
