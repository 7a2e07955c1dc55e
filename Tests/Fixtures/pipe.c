// SPDX-License-Identifier: Apache-2.0
// Pipes whose ends are both here: content, capacity, flags, an end under two numbers, a reader that waits.
#include "fixture.h"
#include <sys/ioctl.h>

static int waited_for[2];
static void *read_later(void *unused) {
    (void)unused;
    static char text[16];
    ssize_t length;
    do length = read(waited_for[0], text, sizeof text - 1); while (length < 0 && errno == EINTR);
    return text;
}

int main(void) {
    fixture_begin();
    int filled[2], flagged[2], large[2], closed[2];
    need(pipe(filled) == 0 && pipe2(flagged, O_NONBLOCK | O_CLOEXEC) == 0 && pipe(large) == 0 && pipe(closed) == 0 && pipe(waited_for) == 0);
    need(fcntl(large[1], F_SETPIPE_SZ, 256 * 1024) >= 256 * 1024);
    static char block[200 * 1024], found[200 * 1024];
    fill(block, sizeof block, 9);
    need(write(filled[1], "kept in the pipe", 16) == 16);
    need(write(large[1], block, sizeof block) == (ssize_t)sizeof block);
    need(write(closed[1], "last words", 10) == 10);
    close(closed[1]);
    int again = dup(filled[1]);
    pthread_t reader;
    need(pthread_create(&reader, NULL, read_later, NULL) == 0);
    fixture_sleep(2);

    fixture_checkpoint_here();

    char text[64] = "";
    need(write(again, " and more", 9) == 9);
    need(read(filled[0], text, sizeof text) == 25);
    fact("%s", text);
    size_t done = 0;
    for (ssize_t length; done < sizeof found && (length = read(large[0], found + done, sizeof found - done)) > 0; ) done += (size_t)length;
    fact_that(done == sizeof found && memcmp(found, block, sizeof block) == 0);
    fact_that(fcntl(large[0], F_GETPIPE_SZ) >= 256 * 1024);
    fact_that(read(flagged[0], text, 1) < 0 && errno == EAGAIN);
    fact("flags %x %x %x; close-on-exec %d %d", fcntl(filled[0], F_GETFL), fcntl(filled[1], F_GETFL), fcntl(flagged[0], F_GETFL),
        fcntl(filled[0], F_GETFD), fcntl(flagged[1], F_GETFD));
    memset(text, 0, sizeof text);
    ssize_t first = read(closed[0], text, 10), second = read(closed[0], text + 20, 1);
    fact("%s, %zd, then %zd", text, first, second);
    need(write(waited_for[1], "at last", 7) == 7);
    void *result;
    pthread_join(reader, &result);
    fact("the reader got %s", (char *)result);
    close(filled[0]);
    signal(SIGPIPE, SIG_IGN);
    fact_that(write(again, "x", 1) < 0 && errno == EPIPE);
    return 0;
}
