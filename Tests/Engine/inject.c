// SPDX-License-Identifier: Apache-2.0
// inject N FAULT COMMAND…: runs the command and lets its N-th system call go wrong: kill (SIGKILL before it), short (half of a
// write), or enospc, eio, eintr (instead of a call that concerns files; another one is left alone). N = 0: nothing goes wrong.
// Ends as the command does (128 + signal), and prints how many calls there were. A command that does not end in time is an error.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OPTIONS = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL };
static const char *const names[] = {"kill", "short", "enospc", "eio", "eintr"};
static const long errors[] = {0, 0, ENOSPC, EIO, EINTR};

static int is_write(unsigned long long call) { return call == SYS_write || call == SYS_pwrite64 || call == SYS_writev || call == SYS_pwritev; }
static int concerns_files(unsigned long long call) {
    static const unsigned long long calls[] = {SYS_read, SYS_pread64, SYS_open, SYS_openat, SYS_fsync, SYS_fdatasync, SYS_ftruncate, SYS_fallocate, SYS_link,
        SYS_linkat, SYS_rename, SYS_renameat, SYS_renameat2, SYS_unlink, SYS_unlinkat, SYS_mkdir, SYS_rmdir, SYS_getdents64, SYS_newfstatat, SYS_statx};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) if (calls[i] == call) return 1;
    return is_write(call);
}

// A thread that is inside a call, and what that call is to return.
struct thread { pid_t id; int is_inside; long instead; };
static struct thread threads[256];
static struct thread *thread_of(pid_t id) {
    for (size_t i = 0; i < 256; i++) if (threads[i].id == id) return &threads[i];
    for (size_t i = 0; i < 256; i++) if (threads[i].id == 0) { threads[i] = (struct thread){id, 0, 0}; return &threads[i]; }
    abort();
}

int main(int count, char **arguments) {
    int fault = 0;
    while (count > 3 && fault < 5 && strcmp(names[fault], arguments[2]) != 0) fault++;
    if (count < 4 || fault == 5) return 64;
    long at = atol(arguments[1]), calls = 0;
    alarm(60); // with EXITKILL, what is traced ends too
    pid_t child = fork();
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        execv(arguments[3], arguments + 3);
        _exit(127);
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child || ptrace(PTRACE_SETOPTIONS, child, 0, OPTIONS) != 0) return 1;
    ptrace(PTRACE_SYSCALL, child, 0, 0);
    for (pid_t id; (id = waitpid(-1, &status, __WALL)) > 0;) {
        if (!WIFSTOPPED(status)) {
            thread_of(id)->id = 0;
            if (id != child) continue;
            printf("%ld\n", calls);
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
        long deliver = 0;
        if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
            struct thread *thread = thread_of(id);
            struct user_regs_struct registers;
            if (ptrace(PTRACE_GETREGS, id, 0, &registers) == 0) {
                thread->is_inside = !thread->is_inside;
                if (!thread->is_inside && thread->instead) {
                    registers.rax = (unsigned long long)-thread->instead;
                    thread->instead = 0;
                    ptrace(PTRACE_SETREGS, id, 0, &registers);
                } else if (thread->is_inside && ++calls == at) {
                    if (fault == 0) kill(child, SIGKILL);
                    if (fault == 1 && is_write(registers.orig_rax) && registers.rdx > 1) registers.rdx /= 2;
                    if (fault > 1 && concerns_files(registers.orig_rax)) registers.orig_rax = ~0ull, thread->instead = errors[fault];
                    ptrace(PTRACE_SETREGS, id, 0, &registers);
                }
            }
        } else if (status >> 16 == 0 && WSTOPSIG(status) != SIGSTOP && WSTOPSIG(status) != SIGTRAP) deliver = WSTOPSIG(status);
        ptrace(PTRACE_SYSCALL, id, 0, deliver);
    }
    return 1;
}
