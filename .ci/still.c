// Preloaded: a clock that stands and dice that always fall alike, so that a program takes the same way each time.
#include <string.h>
#include <sys/types.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
  (void)clock;
  now->tv_sec = 1800000000;
  now->tv_nsec = 0;
  return 0;
}

ssize_t getrandom(void *bytes, size_t count, unsigned int flags) {
  (void)flags;
  memset(bytes, 7, count);
  return (ssize_t)count;
}
