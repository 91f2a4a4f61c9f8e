// Of two ways to do the same again and again, the one that takes less time here and now. Pure.
//
//   turn of one way --> trial of the other --no better--> another turn, twice as long
//         ^                    |
//         |                 better
//     less in all              v
//         +------------ turn of that one --more in all--> back
#pragma once

#include <array>

namespace tarspout {

class CheaperWay {
 public:
  // The way to take next, first or second.
  bool IsSecond() const { return is_second_ != (tried_ > 0); }

  // What that took, for so much.
  void Took(double ns, double amount);

 private:
  static constexpr int kFirstTurn = 16;
  static constexpr int kLeastTurn = 256;
  static constexpr int kMostTurn = 8192;
  static constexpr int kTrial = 16;
  // Of a trial, while all that has to do with it settles: do not count.
  static constexpr int kSettling = 7;

  void EndTurn();
  void EndTrial();
  void Begin(int times);
  void BeginLonger();

  // Costs are times divided by amounts.
  bool is_second_ = false;  // the way whose turn it is
  bool is_new_ = false;     // since this turn
  int turn_ = kLeastTurn;
  int left_ = kFirstTurn;
  double ns_ = 0;  // in this turn
  double amount_ = 0;
  double usual_ = 0;  // cost of late
  double least_ = 0;  // the least usual one in this turn
  double mean_ = 0;   // cost in the turn before
  int tried_ = 0;
  std::array<double, kTrial - kSettling> trial_;
};

}  // namespace tarspout
