// The kernels' texts, taken into the program by the compiler, so that it needs no files beside it.
#include "CUDAKernels.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

static const char decode_cu[] = {
#embed "kernels/decode.cu"
    , 0};
static const char prefill_cu[] = {
#embed "kernels/prefill.cu"
    , 0};
static const char prefill_hopper_cu[] = {
#embed "kernels/prefill_hopper.cu"
    , 0};
static const char prefill_rows_h[] = {
#embed "kernels/iq_prefill_rows.h"
    , 0};
static const char hopper_h[] = {
#embed "kernels/iq_hopper.h"
    , 0};
static const char device_tile_h[] = {
#embed "include/iq_device_tile.h"
    , 0};
static const char device_cache_h[] = {
#embed "include/iq_device_cache.h"
    , 0};
static const char device_prefill_h[] = {
#embed "include/iq_device_prefill.h"
    , 0};

static const struct iq_source sources[] = {
    {"decode.cu", decode_cu},
    {"prefill.cu", prefill_cu},
    {"prefill_hopper.cu", prefill_hopper_cu},
    {"iq_device_tile.h", device_tile_h},
    {"iq_device_cache.h", device_cache_h},
    {"iq_device_prefill.h", device_prefill_h},
    {"iq_prefill_rows.h", prefill_rows_h},
    {"iq_hopper.h", hopper_h},
};

int iq_source_count(void) { return sizeof sources / sizeof sources[0]; }

struct iq_source iq_source_at(int index) { return sources[index]; }
