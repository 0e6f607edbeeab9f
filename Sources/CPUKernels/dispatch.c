#include "iq_dispatch.h"

#include <string.h>

static const struct iq_kernels portable = {
    .name = "portable",
    .attention = &iq_attention_portable,
    .weights = &iq_weights_portable,
};

#if defined(__x86_64__)
static const struct iq_kernels avx2 = {
    .name = "avx2",
    .attention = &iq_attention_avx2,
    .weights = &iq_weights_avx2,
};

// The compiler's run-time check includes that the operating system saves the registers.
static int has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}
#endif

size_t iq_kernels_count(void) {
#if defined(__x86_64__)
    if (has_avx2()) return 2;
#endif
    return 1;
}

const struct iq_kernels *iq_kernels_at(size_t index) {
    if (index >= iq_kernels_count()) return NULL;
#if defined(__x86_64__)
    if (index == 1) return &avx2;
#endif
    return &portable;
}

const struct iq_kernels *iq_kernels(void) { return iq_kernels_at(iq_kernels_count() - 1); }

const struct iq_kernels *iq_kernels_named(const char *name) {
    for (size_t i = 0; i < iq_kernels_count(); i++)
        if (strcmp(iq_kernels_at(i)->name, name) == 0) return iq_kernels_at(i);
    return NULL;
}
