import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Stands in front of the system's calls in a process that is started with it in LD_PRELOAD. As long as the file GATE/hold-flush is there, no flush goes through (hold-meta: no write by a
 * descriptor that flushes each write); what waits is told in GATE/seen. GATE/fail-flush and GATE/fail-write: every flush, every write of the data file fails.
 */
const SOURCE = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int there(const char *name, char *path) {
  const char *gate = getenv("GATE");
  if (!gate) return 0;
  snprintf(path, 4096, "%s/%s", gate, name);
  return access(path, F_OK) == 0;
}

static int is_data(int fd) {
  char link[64], target[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, target, sizeof target - 1);
  if (length < 8) return 0;
  target[length] = 0;
  return strcmp(target + length - 8, "data.mdb") == 0;
}

static void hold(const char *name) {
  char path[4096], seen[4096];
  if (!there(name, path)) return;
  snprintf(seen, sizeof seen, "%s/seen", getenv("GATE"));
  int fd = open(seen, O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (fd >= 0) {
    if (write(fd, name, strlen(name)) < 0 || write(fd, "\\n", 1) < 0) abort();
    close(fd);
  }
  while (access(path, F_OK) == 0) usleep(1000);
}

int fdatasync(int fd) {
  char path[4096];
  static int (*next)(int);
  if (!next) next = dlsym(RTLD_NEXT, "fdatasync");
  if (is_data(fd)) {
    hold("hold-flush");
    if (there("fail-flush", path)) { errno = EIO; return -1; }
  }
  return next(fd);
}

static ssize_t meta_or_page(int fd) {
  char path[4096];
  if (!is_data(fd)) return 0;
  if (fcntl(fd, F_GETFL) & O_DSYNC) hold("hold-meta");
  if (there("fail-write", path)) { errno = ENOSPC; return -1; }
  return 0;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
  static ssize_t (*next)(int, const void *, size_t, off64_t);
  if (!next) next = dlsym(RTLD_NEXT, "pwrite64");
  return meta_or_page(fd) < 0 ? -1 : next(fd, bytes, count, offset);
}
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) { return pwrite64(fd, bytes, count, offset); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
  static ssize_t (*next)(int, const struct iovec *, int);
  if (!next) next = dlsym(RTLD_NEXT, "writev");
  return meta_or_page(fd) < 0 ? -1 : next(fd, parts, count);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
  static ssize_t (*next)(int, const struct iovec *, int, off64_t);
  if (!next) next = dlsym(RTLD_NEXT, "pwritev64");
  return meta_or_page(fd) < 0 ? -1 : next(fd, parts, count, offset);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) { return pwritev64(fd, parts, count, offset); }
`

/** The library's path; null where none can be made. */
export async function buildGate(folder: string): Promise<string | null> {
  if (process.platform !== 'linux') return null
  await mkdir(folder, { recursive: true })
  const source = join(folder, 'gate.c')
  const library = join(folder, 'gate.so')
  await writeFile(source, SOURCE)
  return new Promise((resolve) =>
    execFile('gcc', ['-shared', '-fPIC', '-O1', '-o', library, source, '-ldl'], (error) => resolve(error === null ? library : null)),
  )
}
