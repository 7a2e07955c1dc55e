// SPDX-License-Identifier: Apache-2.0
// Runs a program on another host, as far as a restart can tell: another_host [option…] -- PROGRAM ARGUMENT…
//
//     --bare DIRECTORY     a new root (pivot_root into an empty file system), which holds the program, this directory and /proc
//     --chroot DIRECTORY   the same by chroot, where the kernel allows no user namespace; needs root
//     --user ID            with this user and group, without further groups
//     --no-proc            the new root has no /proc
//     --no-user-namespaces the program may make none (user.max_user_namespaces is 0 for it)
//     --small DIRECTORY    a file system of 40 MiB is mounted there
//     --clocks SECONDS     its monotonic clock and that since the boot are ahead of ours, or behind (not before 0)
//     --subreaper          orphans below the program become its children (PR_SET_CHILD_SUBREAPER)
//
// Without root it works in a user namespace with the same user id; the program itself has no privilege there.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80 // since 5.6
#endif

static void must(int done, const char *what) {
    if (done) return;
    fprintf(stderr, "another_host: %s: %s\n", what, strerror(errno));
    exit(111);
}
static void write_file(const char *path, const char *content) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    must(file >= 0 && write(file, content, strlen(content)) == (ssize_t)strlen(content), path);
    close(file);
}
static void make_directories(const char *path) {
    char part[PATH_MAX];
    for (const char *at = path + 1; ; at++) {
        if (*at != '/' && *at != 0) continue;
        snprintf(part, sizeof part, "%.*s", (int)(at - path), path);
        must(mkdir(part, 0755) == 0 || errno == EEXIST, part);
        if (*at == 0) return;
    }
}
static void bind_at(const char *root, const char *path, int is_directory) {
    char target[PATH_MAX];
    snprintf(target, sizeof target, "%s%s", root, path);
    if (is_directory) make_directories(target);
    else {
        char *slash = strrchr(target, '/');
        *slash = 0;
        make_directories(target);
        *slash = '/';
        close(open(target, O_CREAT | O_WRONLY, 0644));
    }
    must(mount(path, target, NULL, MS_BIND | MS_REC, NULL) == 0, target);
}

int main(int count, char **arguments) {
    const char *data = NULL, *small = NULL, *clocks = NULL;
    int bare = 0, proc = 1, namespaces = 1, user = -1, at = 1;
    for (; at < count && strcmp(arguments[at], "--") != 0; at++) {
        if (strcmp(arguments[at], "--bare") == 0) { bare = 1; data = arguments[++at]; }
        else if (strcmp(arguments[at], "--chroot") == 0) data = arguments[++at];
        else if (strcmp(arguments[at], "--user") == 0) user = atoi(arguments[++at]);
        else if (strcmp(arguments[at], "--no-proc") == 0) proc = 0;
        else if (strcmp(arguments[at], "--no-user-namespaces") == 0) namespaces = 0;
        else if (strcmp(arguments[at], "--small") == 0) small = arguments[++at];
        else if (strcmp(arguments[at], "--clocks") == 0) clocks = arguments[++at];
        else if (strcmp(arguments[at], "--subreaper") == 0) must(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0, "subreaper");
        else must(0, arguments[at]);
    }
    must(at + 1 < count, "no program");
    char **command = arguments + at + 1;
    char directory[PATH_MAX];
    must(getcwd(directory, sizeof directory) != NULL, "directory");

    int chrooted = data && !bare;
    if (bare && user >= 0) { // as that user from the start
        must(setgroups(0, NULL) == 0 && setresgid((gid_t)user, (gid_t)user, (gid_t)user) == 0 && setresuid((uid_t)user, (uid_t)user, (uid_t)user) == 0, "user");
        must(prctl(PR_SET_DUMPABLE, 1) == 0, "dumpable");
        user = -1;
    }
    if (geteuid() != 0 || bare || !namespaces) {
        char map[64];
        uid_t own_user = user >= 0 ? (uid_t)user : getuid();
        gid_t own_group = user >= 0 ? (gid_t)user : getgid();
        if (user >= 0) {
            must(setgroups(0, NULL) == 0 && setresgid(own_group, own_group, own_group) == 0 && setresuid(own_user, own_user, own_user) == 0, "user");
            must(prctl(PR_SET_DUMPABLE, 1) == 0, "dumpable");
            user = -1;
        }
        must(unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0, "user namespace");
        write_file("/proc/self/setgroups", "deny");
        snprintf(map, sizeof map, "%u %u 1", own_user, own_user);
        write_file("/proc/self/uid_map", map);
        snprintf(map, sizeof map, "%u %u 1", own_group, own_group);
        write_file("/proc/self/gid_map", map);
        if (!namespaces) write_file("/proc/sys/user/max_user_namespaces", "0");
    } else must(unshare(CLONE_NEWNS) == 0, "mount namespace");
    must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private mounts");
    if (clocks) {
        char offsets[128];
        snprintf(offsets, sizeof offsets, "monotonic %s 0\nboottime %s 0\n", clocks, clocks);
        must(unshare(CLONE_NEWTIME) == 0, "time namespace");
        write_file("/proc/self/timens_offsets", offsets);
        must(setns(open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC), CLONE_NEWTIME) == 0, "time namespace");
    }
    if (small) must(mount("small", small, "tmpfs", 0, "size=40m,mode=1777") == 0, small);
    if (data) {
        const char *root = "/mnt";
        must(mount("root", root, "tmpfs", 0, "mode=755") == 0, root);
        bind_at(root, data, 1);
        bind_at(root, command[0], 0);
        if (proc) bind_at(root, "/proc", 1);
        if (bare) {
            must(chdir(root) == 0, root);
            must(syscall(SYS_pivot_root, ".", ".") == 0, "pivot_root");
            must(umount2(".", MNT_DETACH) == 0 && chdir("/") == 0, "the old root");
        } else must(chroot(root) == 0, "chroot");
        must(chdir(directory) == 0, directory);
    }
    (void)chrooted;
    if (user >= 0) must(setgroups(0, NULL) == 0 && setresgid((gid_t)user, (gid_t)user, (gid_t)user) == 0 && setresuid((uid_t)user, (uid_t)user, (uid_t)user) == 0, "user");
    execv(command[0], command);
    must(0, command[0]);
}
