// The CPU's inner loops: one table of function pointers, chosen once for the running processor.
// No allocation, no policy, no state.
#ifndef INNERQ_CPU_KERNELS_H
#define INNERQ_CPU_KERNELS_H

#include "iq_attention.h"
#include "iq_convert.h"
#include "iq_dispatch.h"
#include "iq_elementwise.h"
#include "iq_heap.h"
#include "iq_sealing.h"

#include "iq_weights.h"

#endif
