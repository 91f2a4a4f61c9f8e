#include "engine/cheaper_way.h"

#include <algorithm>

namespace tarspout {
namespace {

constexpr double kBetter = 0.9;  // than the usual: what a trial must show
constexpr double kWorse = 2;     // than before in the same turn: it begins again, and is short
// Times the usual, as once counts there: the thread may have waited for a processor.
constexpr double kMostAtOnce = 2;
constexpr double kUsualWeight = 1.0 / 16;

}  // namespace

void CheaperWay::Took(double ns, double amount) {
  const double cost = ns / amount;
  if (tried_ > 0) {
    if (tried_ > kSettling) trial_[tried_ - kSettling - 1] = cost;
    if (++tried_ > kTrial) EndTrial();
    return;
  }
  ns_ += ns;
  amount_ += amount;
  if (usual_ == 0) usual_ = least_ = cost;
  usual_ += (std::min(cost, kMostAtOnce * usual_) - usual_) * kUsualWeight;
  least_ = std::min(least_, usual_);
  if (--left_ <= 0) {
    EndTurn();
  } else if (usual_ > kWorse * least_) {  // something has changed: what was counted is of before
    turn_ = kLeastTurn;
    Begin(kFirstTurn);
  }
}

void CheaperWay::EndTurn() {
  const double mean = ns_ / amount_;
  if (is_new_ && mean > mean_) {  // what is seldom dear, a trial does not show
    is_second_ = !is_second_;
    is_new_ = false;
    BeginLonger();
    return;
  }
  if (is_new_) turn_ = kLeastTurn;
  mean_ = mean;
  tried_ = 1;
}

void CheaperWay::EndTrial() {
  tried_ = 0;
  const auto middle = trial_.begin() + trial_.size() / 2;
  std::nth_element(trial_.begin(), middle, trial_.end());
  is_new_ = *middle < kBetter * usual_;
  if (is_new_) {
    is_second_ = !is_second_;
    Begin(kLeastTurn);
  } else {
    BeginLonger();
  }
}

void CheaperWay::Begin(int times) {
  left_ = times;
  ns_ = amount_ = usual_ = least_ = 0;
}

void CheaperWay::BeginLonger() {
  turn_ = std::min(2 * turn_, kMostTurn);
  Begin(turn_);
}

}  // namespace tarspout
