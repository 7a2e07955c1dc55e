// SPDX-License-Identifier: Apache-2.0
// 60,000 mappings; the kernel's limit is 65,530 (vm.max_map_count).
#include "fixture.h"

#define COUNT 59000

int main(void) {
    fixture_begin();
    char *memory = mmap(NULL, COUNT * 4096ul, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(memory != MAP_FAILED);
    for (size_t i = 0; i < COUNT; i += 8) *(uint64_t *)(memory + i * 4096) = i;
    for (size_t i = 0; i < COUNT; i += 2) need(mprotect(memory + i * 4096, 4096, PROT_READ) == 0);

    fixture_checkpoint_here();

    int is_right = 1;
    for (size_t i = 0; i < COUNT; i++) is_right &= *(uint64_t *)(memory + i * 4096) == (i % 8 ? 0 : i);
    fact_that(is_right);
    for (size_t i = 1; i < COUNT; i += 2) memory[i * 4096] = 1;
    fact_that(mprotect(memory, COUNT * 4096ul, PROT_READ | PROT_WRITE) == 0);
    fact_that(munmap(memory, COUNT * 4096ul) == 0);
    return 0;
}
