// For loops written once as plain C that the compiler vectorizes: compiled twice on x86, for the baseline and for AVX2 with
// FMA, and chosen per call (the processor check is one load); not part of the module.
#ifndef INNERQ_PLAIN_LOOPS_H
#define INNERQ_PLAIN_LOOPS_H

#define INLINE_LOOP static inline __attribute__((always_inline))

// DEFINE(name, (parameters), (arguments)) defines iq_NAME from an INLINE_LOOP `name`.
#if defined(__x86_64__)
#define DEFINE_VALUE(type, name, parameters, arguments)                                               \
    __attribute__((target("avx2,fma"))) static type name##_avx2 parameters { return name arguments; } \
    static type name##_baseline parameters { return name arguments; }                                 \
    type iq_##name parameters {                                                                       \
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? name##_avx2 arguments \
                                                                                : name##_baseline arguments; \
    }
#define DEFINE(name, parameters, arguments)                                                           \
    __attribute__((target("avx2,fma"))) static void name##_avx2 parameters { name arguments; }        \
    static void name##_baseline parameters { name arguments; }                                        \
    void iq_##name parameters {                                                                       \
        if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) name##_avx2 arguments;   \
        else name##_baseline arguments;                                                               \
    }
#else
#define DEFINE_VALUE(type, name, parameters, arguments) \
    type iq_##name parameters { return name arguments; }
#define DEFINE(name, parameters, arguments) \
    void iq_##name parameters { name arguments; }
#endif

#endif
