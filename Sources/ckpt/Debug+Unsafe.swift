// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import CheckpointImage
import Glibc
import SystemPackage

struct Debug: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Opens an image in gdb; a chain is folded for it to a temporary file.",
        discussion: """
            The file has no name and is gone when gdb ends; it is made in $TMPDIR, or /tmp. What follows -- is passed to gdb. The \
            exit status is gdb's.
            """)

    @Argument(help: "The image.", completion: .file(extensions: ["img"]))
    var image: String
    @Argument(parsing: .postTerminator, help: ArgumentHelp("Arguments for gdb, before the program and the image.", valueName: "GDB ARGS"))
    var arguments: [String] = []

    func run() throws {
        let chain: ImageChain
        do throws(ImageError) {
            chain = try ImageChain.open(FilePath(image))
            if chain.isFull { throw start(chain, core: image) }
            // Safety: getenv's string is copied at once; nothing here changes the environment.
            let place = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
            var file = try OutputFile(for: FilePath(place).appending("ckpt-debug-\(getpid()).img"), identifier: chain.newest.ident.identifier)
            try Fold.write(chain, to: file)
            file.forgetName()
            // gdb opens it through its own descriptor; the file's last reference is gdb's.
            _ = fcntl(file.descriptor, F_SETFD, 0)
            throw start(chain, core: "/proc/self/fd/\(file.descriptor)")
        } catch { throw failure(image, error) }
    }

    /// Returns only when gdb could not be started.
    private func start(_ chain: ImageChain, core: String) -> ImageError {
        let executable = chain.newest.process.executable.string
        // Safety: the string is held for the call.
        let program = unsafe access(executable, R_OK) == 0 ? [executable] : []
        let words = ["gdb"] + arguments + program + ["--core=\(core)"]
        // Safety: the strings are copies that live until exec, and the list ends with a null pointer.
        var list = unsafe words.map { unsafe strdup($0) } + [nil]
        unsafe _ = execvp("gdb", &list)
        let error = Errno(rawValue: errno)
        unsafe list.forEach { unsafe free($0) }
        return .io(what: "starting gdb", errno: error)
    }
}
