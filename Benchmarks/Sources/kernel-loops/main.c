// kernel-loops check                       every variant against the portable one; exit code 1 if one differs
// kernel-loops run LOOP REPEATS [VARIANT]  a loop so many times; prints elements, for a counter of instructions
// kernel-loops time LOOP [VARIANT]         elements a second, best of ten; a noisy machine makes it noisy
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "loops.h"

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int usage(void) {
    fputs("usage: kernel-loops check | run LOOP REPEATS [VARIANT] | time LOOP [VARIANT]\n"
          "loops: tile-BITS-HEADS[-hybrid][-coarse][-float], half-HEADS, quantize, exponentials, weights-TYPE[-float]\n",
          stderr);
    return 2;
}

int main(int count, char **arguments) {
    struct problem *problem = make_problem();
    if (count == 2 && strcmp(arguments[1], "check") == 0) return check_variants(problem) != 0;
    const int is_run = count >= 4 && strcmp(arguments[1], "run") == 0;
    if (!is_run && !(count >= 3 && strcmp(arguments[1], "time") == 0)) return usage();
    const char *variant = count > 3 + is_run ? arguments[3 + is_run] : NULL;
    const struct iq_kernels *kernels = variant ? iq_kernels_named(variant) : iq_kernels();
    if (!kernels) {
        fprintf(stderr, "this processor has no variant %s\n", variant);
        return 2;
    }
    if (is_run) {
        double elements = run_loop(problem, kernels, arguments[2], strtol(arguments[3], NULL, 10));
        if (elements < 0) return usage();
        printf("%.0f\n", elements);
        return 0;
    }
    double best = 1e9, elements = 0;
    for (int i = 0; i < 10; i++) {
        double start = seconds();
        elements = run_loop(problem, kernels, arguments[2], 2000);
        if (elements < 0) return usage();
        if (seconds() - start < best) best = seconds() - start;
    }
    printf("%s %s: %.2f G elements/s\n", kernels->name, arguments[2], 1e-9 * elements / best);
    return 0;
}
