// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Starts a program that has nothing open but its standard streams, in this directory. (Foundation's Process leaves sockets of its
/// own open in the child, which a restart would have to refuse.) Standard input is empty, standard error is the driver's.
func spawn(_ path: String, _ arguments: [String], variables: [String], output: Int32) -> Int32? {
    // Safety: the actions and the C strings live until posix_spawn has returned, and are released here.
    var actions = unsafe posix_spawn_file_actions_t()
    guard unsafe posix_spawn_file_actions_init(&actions) == 0 else { return nil }
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    unsafe posix_spawn_file_actions_adddup2(&actions, output, 1)
    var words = unsafe ([path] + arguments).map { unsafe strdup($0) } + [nil]
    defer { unsafe words.forEach { unsafe free($0) } }
    var environment = unsafe variables.map { unsafe strdup($0) } + [nil]
    defer { unsafe environment.forEach { unsafe free($0) } }
    var pid: Int32 = 0
    return unsafe posix_spawn(&pid, path, &actions, nil, &words, &environment) == 0 ? pid : nil
}

/// A new pipe, closed in programs that are started.
func makePipe() -> (read: Int32, write: Int32)? {
    var ends: [Int32] = [-1, -1]
    // Safety: pipe writes two numbers.
    guard unsafe pipe(&ends) == 0 else { return nil }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (ends[0], ends[1])
}

/// Whether there is something to read, or the end, within some seconds.
func isReadable(_ descriptor: Int32, within seconds: Int32) -> Bool {
    var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    // Safety: poll reads and writes one record.
    return unsafe poll(&wanted, 1, seconds * 1000) > 0
}

/// Waits for a child and returns its status as a shell would.
func wait(for pid: Int32) -> Int32 {
    var status: Int32 = 0
    // Safety: waitpid writes one number.
    while unsafe waitpid(pid, &status, 0) < 0 && errno == EINTR {}
    return status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f)
}
