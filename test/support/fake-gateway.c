// SPDX-License-Identifier: Apache-2.0

// A gateway for tests: a real program, because what takes a task's place must be one. It logs how it
// was started to $FAKE_GATEWAY_LOG (one record: arguments, a mark, variables), waits until the file
// $FAKE_GATEWAY_AFTER exists, and then does what $FAKE_GATEWAY says: `exit N`, or `listen` until a
// signal. `generate-certs` writes the files that a real gateway writes, empty, or fails as $FAKE_CERTS
// says.

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

static void record(int argc, char **argv) {
  const char *path = getenv("FAKE_GATEWAY_LOG");
  FILE *log = path == NULL ? NULL : fopen(path, "a");
  if (log == NULL) return;
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  fprintf(log, "%d%c%llu%c", (int)getpid(), 0, (unsigned long long)limit.rlim_cur, 0);
  for (int at = 1; at < argc; at++) fprintf(log, "%s%c", argv[at], 0);
  fprintf(log, "\x1e%c", 0);
  for (char **at = environ; *at != NULL; at++) fprintf(log, "%s%c", *at, 0);
  fprintf(log, "\x1d%c", 0);
  fclose(log);
}

static const char *value_of(int argc, char **argv, const char *flag) {
  for (int at = 1; at + 1 < argc; at++)
    if (strcmp(argv[at], flag) == 0) return argv[at + 1];
  return "";
}

static void touch(const char *directory, const char *name, mode_t mode) {
  char path[8192];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  FILE *file = fopen(path, "a");
  if (file != NULL) fclose(file);
  chmod(path, mode);
}

static int certificates(const char *directory) {
  if (getenv("FAKE_CERTS") != NULL) {
    fprintf(stderr, "fake gateway: %s\n", getenv("FAKE_CERTS"));
    return 3;
  }
  char jwt[8192];
  snprintf(jwt, sizeof jwt, "%s/jwt", directory);
  mkdir(directory, 0700);
  mkdir(jwt, 0700);
  touch(jwt, "signing.pem", 0600);
  touch(jwt, "public.pem", 0644);
  touch(jwt, "kid", 0644);
  return 0;
}

static void stop(int signal) { _exit(signal == SIGINT ? 0 : 10); }

static int listen_on(const char *address, int port) {
  struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, address, &place.sin_addr);
  int one = 1;
  int handle = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(handle, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(handle, (struct sockaddr *)&place, sizeof place) != 0 || listen(handle, 8) != 0) {
    fprintf(stderr, "fake gateway: %s\n", strerror(errno));
    return 4;
  }
  signal(SIGINT, stop);
  signal(SIGTERM, stop);
  fprintf(stderr, "fake gateway: listening\n");
  for (;;) {
    int connection = accept(handle, NULL, NULL);
    if (connection >= 0) close(connection);
  }
}

int main(int argc, char **argv) {
  record(argc, argv);
  if (argc > 1 && strcmp(argv[1], "generate-certs") == 0) return certificates(value_of(argc, argv, "--output-dir"));
  const char *after = getenv("FAKE_GATEWAY_AFTER");
  // A test that has failed releases nobody.
  alarm(60);
  while (after != NULL && access(after, F_OK) != 0) usleep(5000);
  alarm(0);
  const char *order = getenv("FAKE_GATEWAY");
  if (order == NULL) return 0;
  if (strncmp(order, "exit ", 5) == 0) return atoi(order + 5);
  return listen_on(value_of(argc, argv, "--bind-address"), atoi(value_of(argc, argv, "--port")));
}
