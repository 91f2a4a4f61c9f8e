// The test harness of the pure native parts: TEST registers a case, CHECK counts a failure and goes
// on.
#pragma once

#include <cstdio>
#include <vector>

namespace check {

struct Case {
  const char* title;
  void (*run)();
};

inline std::vector<Case>& Cases() {
  static std::vector<Case> cases;
  return cases;
}

inline int failures = 0;

struct Register {
  Register(const char* title, void (*run)()) { Cases().push_back({title, run}); }
};

inline bool Expect(bool ok, const char* what, const char* file, int line) {
  if (!ok) {
    ++failures;
    std::printf("    %s:%d: %s\n", file, line, what);
  }
  return ok;
}

// Runs every case and prints "N passed, N failed"; returns the exit code.
inline int RunAll(const char* suite) {
  int failed = 0;
  for (const Case& test : Cases()) {
    const int before = failures;
    test.run();
    const bool ok = failures == before;
    failed += ok ? 0 : 1;
    if (!ok) std::printf("  failed: %s: %s\n", suite, test.title);
  }
  std::printf("%s: %zu passed, %d failed\n", suite, Cases().size() - static_cast<size_t>(failed),
              failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace check

#define CHECK_JOIN_(a, b) a##b
#define CHECK_JOIN(a, b) CHECK_JOIN_(a, b)
#define TEST(title)                                                                          \
  static void CHECK_JOIN(test_, __LINE__)();                                                 \
  static const check::Register CHECK_JOIN(register_, __LINE__){title,                        \
                                                               CHECK_JOIN(test_, __LINE__)}; \
  static void CHECK_JOIN(test_, __LINE__)()
#define CHECK(condition) check::Expect(static_cast<bool>(condition), #condition, __FILE__, __LINE__)
