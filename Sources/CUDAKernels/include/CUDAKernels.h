// CUDA kernels as text, and what CPU and GPU code share.
#ifndef CUDA_KERNELS_H
#define CUDA_KERNELS_H

#include "iq_device_append.h"
#include "iq_device_cache.h"
#include "iq_device_prefill.h"
#include "iq_device_probe.h"
#include "iq_device_tables.h"
#include "iq_device_tile.h"
#include "iq_exact.h"
#include "iq_lookup_seal.h"
#include "iq_pack.h"
#include "iq_seal.h"

/// A source text: zero-terminated, with its name as other sources include it.
struct iq_source {
    const char *_Nonnull name;
    const char *_Nonnull text;
};

/// Number of texts; headers come after kernels.
int iq_source_count(void);
struct iq_source iq_source_at(int index);

#endif
