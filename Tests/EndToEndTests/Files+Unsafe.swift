// SPDX-License-Identifier: Apache-2.0
import Glibc

// Safety, of all here: a path and a result outlive the call that gets them.

/// What `stat` says; nil when there is no such file.
func fileStatus(_ path: String) -> stat? {
    var status = stat()
    // Safety: here and below, the strings live for the call, and stat writes one struct of ours.
    return unsafe stat(path, &status) == 0 ? status : nil
}

func fileExists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }
func removeFile(_ path: String) { _ = unsafe unlink(path) }
func setOwner(_ path: String, _ user: uid_t) { _ = unsafe chown(path, user, user) }
func setMode(_ path: String, _ mode: mode_t) { _ = unsafe chmod(path, mode) }
func makeFifo(_ path: String) { _ = unsafe mkfifo(path, 0o644) }
