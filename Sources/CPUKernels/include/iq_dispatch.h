// The table of kernels for the running processor.
#ifndef INNERQ_DISPATCH_H
#define INNERQ_DISPATCH_H

#include <stddef.h>

#include "iq_attention.h"
#include "iq_weights.h"

#ifdef __cplusplus
extern "C" {
#endif

struct iq_kernels {
    const char *name;  // "portable", "avx2", "avx512", "avx512-amx", "neon"
    const struct iq_attention_kernels *attention;
    const struct iq_weight_kernels *weights;
};

// The fastest variant that the running processor can execute. Cheap: look it up once per object.
const struct iq_kernels *iq_kernels(void);
// What compiled the kernels, such as "Clang 17.0.0".
const char *iq_compiler(void);
// A variant by name, or NULL if it was not compiled in or the running processor cannot execute it.
const struct iq_kernels *iq_kernels_named(const char *name);
// The usable variants, slowest ("portable") first.
size_t iq_kernels_count(void);
const struct iq_kernels *iq_kernels_at(size_t index);

#ifdef __cplusplus
}
#endif

#endif
