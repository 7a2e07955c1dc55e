// SPDX-License-Identifier: Apache-2.0
// System V shared memory of this process alone: a segment that was removed while it is attached, twice, and one that has its id.
#include "fixture.h"
#include <sys/shm.h>

#define BYTES (256 * 1024)

int main(int count, char **arguments) {
    int keeps = count > 1 && strcmp(arguments[1], "kept") == 0; // its id is in use
    fixture_begin();
    int id = shmget(IPC_PRIVATE, BYTES + 5, IPC_CREAT | 0600);
    need(id >= 0);
    char *one = shmat(id, NULL, 0), *two = shmat(id, NULL, SHM_RDONLY);
    need(one != (void *)-1 && two != (void *)-1);
    fill(one, BYTES, 1);
    if (!keeps) need(shmctl(id, IPC_RMID, NULL) == 0);

    fixture_checkpoint_here();

    fact_that(is_filled(one, BYTES, 1) && is_filled(two, BYTES, 1));
    one[7] = 'x';
    fact_that(two[7] == 'x');
    struct shmid_ds status;
    if (keeps) {
        fact_that(shmctl(id, IPC_STAT, &status) == 0 && status.shm_segsz == BYTES + 5 && (status.shm_perm.mode & 0777) == 0600);
        fact_that(status.shm_nattch == 2);
        fact_that(shmctl(id, IPC_RMID, NULL) == 0);
    }
    fact_that(shmdt(one) == 0 && two[7] == 'x' && shmdt(two) == 0);
    fact_that(shmdt(one) == -1 && errno == EINVAL);
    return 0;
}
