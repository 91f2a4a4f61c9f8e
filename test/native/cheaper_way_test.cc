#include "engine/cheaper_way.h"

#include <functional>

#include "check.h"

namespace {

using tarspout::CheaperWay;

// How much of what was done was done the second way, where each costs what `cost` says.
double ShareOfSecond(CheaperWay* way, int times, const std::function<double(bool, int)>& cost) {
  int second = 0;
  for (int i = 0; i < times; ++i) {
    const bool is_second = way->IsSecond();
    second += is_second ? 1 : 0;
    const double amount = 1 + i % 3;
    way->Took(cost(is_second, i) * amount, amount);
  }
  return static_cast<double>(second) / times;
}

TEST("the first way is kept where it is cheaper, and the other seldom tried") {
  CheaperWay way;
  const double share =
      ShareOfSecond(&way, 100'000, [](bool is_second, int) { return is_second ? 2 : 1; });
  CHECK(share > 0);
  CHECK(share < 0.005);
}

TEST("the second way is taken soon where it is cheaper") {
  CheaperWay way;
  const auto cost = [](bool is_second, int) { return is_second ? 1 : 2; };
  CHECK(ShareOfSecond(&way, 100, cost) > 0.8);
  CHECK(ShareOfSecond(&way, 100'000, cost) > 0.99);
}

TEST("ways that cost the same: neither is left for the other") {
  CheaperWay way;
  CHECK(ShareOfSecond(&way, 100'000, [](bool, int) { return 1; }) < 0.005);
}

TEST("a way that is mostly cheap and seldom very dear is left again, ever more seldom taken") {
  CheaperWay way;
  const auto cost = [](bool is_second, int i) { return !is_second ? 2 : i % 100 == 0 ? 1000 : 1; };
  ShareOfSecond(&way, 20'000, cost);
  CHECK(ShareOfSecond(&way, 100'000, cost) < 0.1);
}

TEST("when a way becomes dear, the other one is tried at once") {
  CheaperWay way;
  CHECK(ShareOfSecond(&way, 50'000, [](bool is_second, int) { return is_second ? 3 : 1; }) < 0.01);
  CHECK(ShareOfSecond(&way, 200, [](bool is_second, int) { return is_second ? 3 : 6; }) > 0.5);
  CHECK(ShareOfSecond(&way, 50'000, [](bool is_second, int) { return is_second ? 3 : 6; }) > 0.99);
  CHECK(ShareOfSecond(&way, 200, [](bool is_second, int) { return is_second ? 12 : 6; }) < 0.5);
}

TEST("one that waited for a processor does not end a turn") {
  CheaperWay way;
  const double share = ShareOfSecond(&way, 100'000, [](bool is_second, int i) {
    const int cost = is_second ? 2 : 1;
    return i % 50 == 0 ? 100 * cost : cost;
  });
  CHECK(share < 0.01);
}

}  // namespace

int main() { return check::RunAll("cheaper_way"); }
