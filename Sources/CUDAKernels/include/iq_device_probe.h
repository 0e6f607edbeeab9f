// The bandwidth probe: reads memory as fast as plain loads can. What attention is compared with.
#ifndef IQ_DEVICE_PROBE_H
#define IQ_DEVICE_PROBE_H

#ifdef __CUDACC_RTC__
typedef unsigned long long uint64_t;
#else
#include <stdint.h>
#endif

/// Any number of blocks of IQ_PROBE_THREADS threads.
struct iq_probe {
    uint64_t source;          // `bytes` bytes, a multiple of 16
    uint64_t bytes;
    uint64_t target;          // 4 bytes, written if they would be written at all
};

#define IQ_PROBE_THREADS 512

#endif
