#include "iq_dispatch.h"

#include "attention_neon.h"

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
static const struct iq_kernels avx512 = {
    .name = "avx512",
    .attention = &iq_attention_avx512,
    .weights = &iq_weights_avx2,
};

// The compiler's run-time checks include that the operating system saves the registers.
static int has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}
static int has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vnni");
}
static const struct iq_kernels *const variants[] = {&portable, &avx2, &avx512};
size_t iq_kernels_count(void) { return has_avx512() ? 3 : has_avx2() ? 2 : 1; }
#elif defined(__aarch64__)
static const struct iq_kernels neon = {
    .name = "neon",
    .attention = &iq_attention_neon,
    .weights = &iq_weights_portable,
};
static const struct iq_kernels *const variants[] = {&portable, &neon};
size_t iq_kernels_count(void) { return iq_has_dot_products() ? 2 : 1; }
#else
static const struct iq_kernels *const variants[] = {&portable};
size_t iq_kernels_count(void) { return 1; }
#endif

const struct iq_kernels *iq_kernels_at(size_t index) { return index < iq_kernels_count() ? variants[index] : NULL; }

const struct iq_kernels *iq_kernels(void) { return variants[iq_kernels_count() - 1]; }

const struct iq_kernels *iq_kernels_named(const char *name) {
    for (size_t i = 0; i < iq_kernels_count(); i++)
        if (strcmp(variants[i]->name, name) == 0) return variants[i];
    return NULL;
}

const char *iq_compiler(void) { return __VERSION__; }
