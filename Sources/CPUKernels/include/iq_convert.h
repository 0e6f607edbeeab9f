// float16 <-> float32 over arrays.
#ifndef INNERQ_CONVERT_H
#define INNERQ_CONVERT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Widens `count` float16 values (raw bits) to float32. Exact.
void iq_half_to_float(const uint16_t *source, float *destination, size_t count);
// Rounds `count` float32 values to float16 (raw bits), half to even; overflow gives infinity.
void iq_float_to_half(const float *source, uint16_t *destination, size_t count);

#ifdef __cplusplus
}
#endif

#endif
