// SPDX-License-Identifier: Apache-2.0
// The state of vDSO getrandom (Linux 6.11) in memory that the kernel may empty at any time: mapped and used as glibc 2.41 does it.
// Arguments: "tell" prints what is drawn behind the checkpoint; "private" keeps the state in plain memory, as nobody should.
#include "fixture.h"
#include <dlfcn.h>

struct parameters { uint32_t state_byte_count, protection, flags, reserved[13]; };
typedef ssize_t draw_function(void *bytes, size_t byte_count, unsigned flags, void *state, size_t state_byte_count);

static int is_droppable(void *address) {
    FILE *file = fopen("/proc/self/smaps", "re");
    char line[4096];
    unsigned long start, end;
    int here = 0, found = 0;
    need(file != NULL);
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2) here = (uintptr_t)address >= start && (uintptr_t)address < end;
        else if (here && strncmp(line, "VmFlags:", 8) == 0) found = strstr(line, " dp") != NULL && strstr(line, " wf") != NULL;
    }
    fclose(file);
    return found;
}

int main(int count, char **arguments) {
    fixture_begin();
    int tells = 0, is_private = 0;
    for (int i = 1; i < count; i++) { tells |= strcmp(arguments[i], "tell") == 0; is_private |= strcmp(arguments[i], "private") == 0; }
    void *vdso = dlopen("linux-vdso.so.1", RTLD_NOW | RTLD_NOLOAD);
    draw_function *draw = vdso ? (draw_function *)dlsym(vdso, "__vdso_getrandom") : NULL;
    struct parameters parameters = {0};
    if (!draw || draw(NULL, 0, 0, &parameters, ~0ul) != 0) {
        fixture_checkpoint_here();
        fact("this kernel has no vDSO getrandom");
        return 0;
    }
    int flags = is_private ? MAP_PRIVATE | MAP_ANONYMOUS : (int)parameters.flags;
    uint8_t *pages = mmap(NULL, 8 * 4096, (int)parameters.protection, flags, -1, 0);
    need(pages != MAP_FAILED);
    uint64_t drawn[4] = {0};
    void *state = pages + 4096;
    need(draw(&drawn[0], 8, 0, state, parameters.state_byte_count) == 8);
    need(draw(&drawn[1], 8, 0, state, parameters.state_byte_count) == 8);

    fixture_checkpoint_here();

    if (!is_private) fact("droppable: %d", is_droppable(pages));
    need(draw(&drawn[2], 8, 0, state, parameters.state_byte_count) == 8);
    need(draw(&drawn[3], 8, 0, state, parameters.state_byte_count) == 8);
    int same = 0;
    for (int i = 0; i < 4; i++) for (int k = 0; k < i; k++) same += drawn[i] == drawn[k];
    fact("drawn twice: %d", same);
    if (tells) fact("%016lx", drawn[2]);
    pages[0] = 1;
    fact("it can be written: %d", pages[0] == 1);
    return 0;
}
