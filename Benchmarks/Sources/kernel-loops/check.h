#ifndef CHECK_H
#define CHECK_H

#include "problem.h"

// Prints one line a comparison; returns the number of failures.
int check_variants(const struct problem *problem);

#endif
