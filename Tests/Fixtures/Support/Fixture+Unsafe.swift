// SPDX-License-Identifier: Apache-2.0
import Glibc

// What fixture.h is for C: three acts, facts on standard output, and the files `alive` and `release`.
// Safety, of all here: strings and buffers outlive the calls that get them.

private let startDirectory: String = {
    // Safety: getcwd allocates what is freed here; elsewhere strings and bytes live for the call.
    guard let name = unsafe getcwd(nil, 0) else { return "." }
    defer { unsafe free(name) }
    return unsafe String(cString: name)
}()

/// One line, written at once.
public func fact(_ text: String) {
    let bytes = Array((text + "\n").utf8)
    var done = 0
    while done < bytes.count {
        let written = unsafe bytes.withUnsafeBytes { unsafe write(1, $0.baseAddress! + done, $0.count - done) }
        if written < 0 && errno == EINTR { continue }
        if written <= 0 { _exit(99) }
        done += written
    }
}

/// Remembers where the fixture was started.
public func begin() { _ = startDirectory }

/// False as long as the driver wants the fixture to wait; tells it that it does.
public func isReleased() -> Bool {
    if unsafe access(startDirectory + "/release", F_OK) == 0 { return true }
    _ = unsafe mknod(startDirectory + "/alive", S_IFREG | 0o600, 0)
    return false
}

/// Waits for the driver on this thread.
public func checkpointHere() {
    fact("READY")
    while !isReleased() { usleep(1000) }
}

/// Waits for the driver without holding a thread.
public func checkpointHere() async throws {
    fact("READY")
    while !isReleased() { try await Task.sleep(for: .milliseconds(1)) }
}

public func makeDirectory(_ path: String) { _ = unsafe mkdir(path, 0o700) }
