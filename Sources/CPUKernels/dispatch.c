#ifndef _GNU_SOURCE
#define _GNU_SOURCE // syscall
#endif

#include "iq_dispatch.h"

#include "attention_neon.h"

#include <string.h>

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

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
    .weights = &iq_weights_avx512,
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
#if defined(__linux__)
// In the place of avx512, which has nothing of its own then.
static const struct iq_kernels amx = {
    .name = "avx512-amx",
    .attention = &iq_attention_amx,
    .weights = &iq_weights_amx,
};

// Linux gives a process the tiles' registers when it asks for them.
static int ask_for_amx(void) {
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return has_avx512() && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("amx-tile") &&
        __builtin_cpu_supports("amx-bf16") && syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}
static int has_amx(void) {
    static _Atomic int known; // 1: no, 2: yes; asking twice does no harm
    if (known == 0) known = 1 + ask_for_amx();
    return known == 2;
}
static const struct iq_kernels *widest(void) { return has_amx() ? &amx : &avx512; }
#else
static const struct iq_kernels *widest(void) { return &avx512; }
#endif
#define VARIANTS {&portable, &avx2, widest()}
size_t iq_kernels_count(void) { return has_avx512() ? 3 : has_avx2() ? 2 : 1; }
#elif defined(__aarch64__)
static const struct iq_kernels neon = {
    .name = "neon",
    .attention = &iq_attention_neon,
    .weights = &iq_weights_portable,
};
#define VARIANTS {&portable, &neon}
size_t iq_kernels_count(void) { return iq_has_dot_products() ? 2 : 1; }
#else
#define VARIANTS {&portable}
size_t iq_kernels_count(void) { return 1; }
#endif

const struct iq_kernels *iq_kernels_at(size_t index) {
    const struct iq_kernels *const variants[] = VARIANTS;
    return index < iq_kernels_count() ? variants[index] : NULL;
}

const struct iq_kernels *iq_kernels(void) { return iq_kernels_at(iq_kernels_count() - 1); }

const struct iq_kernels *iq_kernels_named(const char *name) {
    for (size_t i = 0; i < iq_kernels_count(); i++)
        if (strcmp(iq_kernels_at(i)->name, name) == 0) return iq_kernels_at(i);
    return NULL;
}

const char *iq_compiler(void) { return __VERSION__; }
