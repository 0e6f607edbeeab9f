#ifndef INNERQ_HEAP_H
#define INNERQ_HEAP_H

#ifdef __cplusplus
extern "C" {
#endif

// Gives free memory of the heap back to the system, after much of it was used for a short time; nothing where the C library
// has no such call.
void iq_trim_heap(void);

#ifdef __cplusplus
}
#endif

#endif
