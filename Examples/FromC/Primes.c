// SPDX-License-Identifier: Apache-2.0
// Counts primes on two threads, and survives: the C interface in use.
//
//     cc Primes.c $(pkg-config --cflags --libs checkpointkit) -pthread -o Primes && ./Primes
//     kill -USR1 PID; kill -9 PID; ckpt-restart Primes.img
//
// Primes N counts below N (default 20,000,000; some seconds); the result depends neither on checkpoints nor on restarts.
#include <checkpointkit.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static long limit = 20000000;
static atomic_long next = 0, primes = 0;
enum { BLOCK = 10000 };

static int is_prime(long number) {
    if (number < 4) return number > 1;
    if (number % 2 == 0) return 0;
    for (long divisor = 3; divisor * divisor <= number; divisor += 2)
        if (number % divisor == 0) return 0;
    return 1;
}

static void *count(void *nothing) {
    for (long first; (first = atomic_fetch_add(&next, BLOCK)) < limit;) {
        long found = 0;
        for (long number = first; number < first + BLOCK && number < limit; number++) found += is_prime(number);
        atomic_fetch_add(&primes, found);
    }
    return nothing;
}

static void tell_captured(void *context, int outcome) {
    if (outcome == CKPT_SAVED) fprintf(stderr, "%s: state captured at %ld\n", (const char *)context, atomic_load(&next));
}

static void tell_restarted(void *context, uint32_t restart_count) {
    const char *host = ckpt_restart_environment("HOST"); // ckpt-restart --env HOST=…
    fprintf(stderr, "%s: restart %u%s%s, going on at %ld\n", (const char *)context, restart_count, host ? " on " : "", host ? host : "",
            atomic_load(&next));
}

static void tell_finding(void *context, const char *what, const char *why, const char *remedy) {
    fprintf(stderr, "%s: %s: %s; %s\n", (const char *)context, what, why, remedy);
}

int main(int argc, char **argv) {
    if (argc > 1) limit = atol(argv[1]);
    ckpt_config config;
    ckpt_config_init(&config);
    config.generations = 0; // keep the newest image only
    int error = ckpt_enable(&config);
    if (error < 0) {
        fprintf(stderr, "Primes: %s\n", ckpt_strerror(error));
        return 1;
    }
    ckpt_after_checkpoint(tell_captured, "Primes");
    ckpt_after_restart(tell_restarted, "Primes");
    if (ckpt_preflight(tell_finding, "Primes") > 0) fprintf(stderr, "Primes: a restart would refuse that\n");

    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, count, NULL) != 0) abort();
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    printf("%ld primes below %ld\n", atomic_load(&primes), limit);
    return 0;
}
