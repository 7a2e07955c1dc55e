// SPDX-License-Identifier: Apache-2.0
// Whether a range of memory is a stack in use: what is excluded there would be missing below the feet of a restarted thread.
#define _GNU_SOURCE
#include "ckpt_process.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

struct range { uintptr_t start, end; };
static _Bool meets(struct range range, uintptr_t start, uintptr_t end) { return range.start < end && start < range.end; }
// The page of a stack pointer; below it the 128 bytes that a leaf function uses without moving it.
static _Bool meets_pointer(struct range range, uintptr_t pointer) {
    return meets(range, (pointer - 128) & ~(uintptr_t)4095, (pointer | 4095) + 1);
}

static _Bool is_own_stack(struct range range) {
    pthread_attr_t attributes;
    void *start;
    size_t byte_count;
    if (meets_pointer(range, (uintptr_t)__builtin_frame_address(0))) return 1; // also a stack that pthread knows nothing of
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) return 0;
    _Bool is_known = pthread_attr_getstack(&attributes, &start, &byte_count) == 0;
    pthread_attr_destroy(&attributes);
    return is_known && meets(range, (uintptr_t)start, (uintptr_t)start + byte_count);
}

static _Bool is_first_stack(struct range range) {
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    _Bool found = 0, begins = 1;
    while (maps && fgets(line, sizeof line, maps)) {
        unsigned long start, end;
        size_t length = strlen(line);
        if (begins && length > 9 && strcmp(line + length - 9, " [stack]\n") == 0 && sscanf(line, "%lx-%lx", &start, &end) == 2)
            found |= meets(range, start, end);
        begins = length > 0 && line[length - 1] == '\n'; // or the rest of a long path comes
    }
    if (maps) fclose(maps);
    return found;
}

static _Bool is_other_stack(struct range range) {
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    _Bool found = 0;
    while (tasks && !found && (task = readdir(tasks)) != NULL) {
        char path[300], line[256];
        snprintf(path, sizeof path, "/proc/self/task/%s/syscall", task->d_name);
        FILE *file = task->d_name[0] == '.' ? NULL : fopen(path, "re");
        if (!file) continue;
        // Kernel: "NUMBER six arguments SP PC", "-1 SP PC", or "running".
        unsigned long words[9];
        int count = 0;
        if (fgets(line, sizeof line, file) && line[0] != 'r') {
            const char *at = strchr(line, ' ');
            while (at && count < 9 && sscanf(at, " %lx", &words[count]) == 1) { count++; at = strchr(at + 1, ' '); }
            if (count >= 2) found = meets_pointer(range, words[count - 2]);
        }
        fclose(file);
    }
    if (tasks) closedir(tasks);
    return found;
}

_Bool ckpt_is_stack(const void *start, size_t byte_count) {
    struct range range = {(uintptr_t)start, (uintptr_t)start + byte_count};
    if (range.end <= range.start) return 0;
    return is_own_stack(range) || is_first_stack(range) || is_other_stack(range);
}
