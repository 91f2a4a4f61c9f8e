// What follows from what readers were seen to do. A story is a string: O open, C close, R read, X
// queue overflow,
// '.' a sample that shows some of the archive read and some not, '|' a sample that shows all of it
// consumed,
// '!' the archive is marked as read, ' ' three milliseconds pass, 'c' a close that may have been
// three milliseconds before.
#include "send_window/reader_trail.h"

#include <string_view>

#include "check.h"

namespace {

using tarspout::ReaderTrail;

ReaderTrail After(std::string_view story) {
  ReaderTrail trail;
  trail.Reset(false);
  int64_t now = 0;
  for (const char c : story) {
    switch (c) {
      case 'O':
        trail.Opened(now);
        break;
      case 'C':
        trail.Closed(now);
        break;
      case 'c':
        trail.Closed(now - 3'000'000);
        break;
      case 'R':
        trail.Read();
        break;
      case 'X':
        trail.Overflowed();
        break;
      case '.':
        trail.Sampled(true, true);
        break;
      case '|':
        trail.Sampled(true, false);
        break;
      case '!':
        trail.MarkRead();
        break;
      case ' ':
        now += 3'000'000;
        break;
    }
  }
  return trail;
}

TEST("readers coming and going before the first read are nothing") {
  for (const char* story : {"", "O", "OC", "COCOR|", "OCR.RR|", "COOCCR|", "O C O R|"}) {
    CHECK(!After(story).IsDoubtful());
  }
}

TEST("a read after a reader came or went in the middle is doubt") {
  for (const char* story : {"RCR", "ROR", "RCOR", "ROCR", "RRCORR", ".COR", "COR.CR"}) {
    CHECK(After(story).IsDoubtful());
  }
}

TEST("a reader that came or went with bytes left unread is doubt") {
  for (const char* story : {"RC.", "RO.", "RCO.", ".C.", "OCRO."}) CHECK(After(story).IsDoubtful());
}

TEST("a reader that comes or goes after the last read leaves the archive whole") {
  for (const char* story : {"R.R|C|", "RC|", "RCO|", "ROC|", "|OC|", "RR|CO|"}) {
    CHECK(!After(story).IsDoubtful());
    CHECK(After(story).IsTouched());
  }
}

TEST(
    "a full queue is doubt about an archive that is being read, also if only the sample shows it") {
  CHECK(After("RX").IsDoubtful());
  CHECK(After(".X").IsDoubtful());
  CHECK(After("X.").IsDoubtful());
  CHECK(!After("X").IsDoubtful());
}

TEST("only reads are quiet") {
  CHECK(After("R.RR|").IsQuiet());
  for (const char* story : {"O", "C", "RO", "RC", "X"}) CHECK(!After(story).IsQuiet());
}

TEST("reading on proves a commit after each generation's way of finishing") {
  CHECK(After("R|!").IsFinishedByReadingOn());       // 1.11.3 and later
  CHECK(After("R|!OC").IsFinishedByReadingOn());     // 1.11.0-2
  CHECK(After("ROC|!R").IsFinishedByReadingOn());    // the same, seen in another order
  CHECK(After("R|!CO").IsFinishedByReadingOn());     // 1.9, 1.10
  CHECK(After("R|!CORCO").IsFinishedByReadingOn());  // and what follows is not this archive's
}

TEST("reading on proves nothing after anything else") {
  for (const char* story : {"R|!C", "R|!O", "R|!C O", "R|!OCO", "R|!OCC", "R|!COC", "R|!COO",
                            "R|!CR", "R|!OR", "R|!C OR", "R|!X", "R|!cO", "R|!cOR"}) {
    CHECK(!After(story).IsFinishedByReadingOn());
  }
}

TEST("a read reported late is not taken for a read past the archive") {
  const ReaderTrail trail = After("R|!R");
  CHECK(!trail.HasPassed());
  CHECK(!trail.IsDoubtful());
  CHECK(!After("R|!RC O").IsFinishedByReadingOn());
}

TEST("what is seen after the archive was passed is for the next one's trail") {
  CHECK(After("R|!OCR").HasPassed());
  CHECK(After("R|!COR").HasPassed());
  CHECK(!After("R|!OC").HasPassed());
}

}  // namespace

int main() { return check::RunAll("reader_trail"); }
