// SPDX-License-Identifier: Apache-2.0
// Unix sockets that are neither bound nor connected.
#include "fixture.h"
#include <sys/socket.h>
#include <sys/un.h>

static int type_of(int socket) {
    int type = -1;
    socklen_t size = sizeof type;
    getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size);
    return type;
}

int main(void) {
    fixture_begin();
    int stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), datagram = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    need(stream >= 0 && datagram >= 0);
    fixture_checkpoint_here();
    fact_that(type_of(stream) == SOCK_STREAM && type_of(datagram) == SOCK_DGRAM);
    fact_that(fcntl(stream, F_GETFD) == FD_CLOEXEC && fcntl(datagram, F_GETFD) == 0);
    fact_that((fcntl(datagram, F_GETFL) & O_NONBLOCK) && !(fcntl(stream, F_GETFL) & O_NONBLOCK));
    fact_that(send(stream, "x", 1, MSG_NOSIGNAL) == -1 && (errno == ENOTCONN || errno == EPIPE));
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "here" };
    fact_that(bind(stream, (struct sockaddr *)&address, sizeof address) == 0 && listen(stream, 1) == 0);
    return 0;
}
