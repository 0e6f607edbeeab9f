#ifndef LOOPS_H
#define LOOPS_H

#include "problem.h"

// Runs a loop; returns the number of elements (codes, weights, values) that went through it, or −1 if there is no such loop.
double run_loop(const struct problem *problem, const struct iq_kernels *kernels, const char *name, long repeats);

#endif
