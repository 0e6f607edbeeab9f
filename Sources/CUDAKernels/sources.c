// The kernels' texts, taken into the program by the compiler, so that it needs no files beside it.
#include "CUDAKernels.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

static const char decode_cu[] = {
#embed "kernels/decode.cu"
    , 0};
static const char append_cu[] = {
#embed "kernels/append.cu"
    , 0};
static const char seal_cu[] = {
#embed "kernels/seal.cu"
    , 0};
static const char unpack_cu[] = {
#embed "kernels/unpack.cu"
    , 0};
static const char device_tile_h[] = {
#embed "include/iq_device_tile.h"
    , 0};
static const char device_cache_h[] = {
#embed "include/iq_device_cache.h"
    , 0};
static const char seal_tile_h[] = {
#embed "kernels/seal_tile.cuh"
    , 0};
static const char seal_feedback_h[] = {
#embed "kernels/seal_feedback.cuh"
    , 0};
static const char device_append_h[] = {
#embed "include/iq_device_append.h"
    , 0};
static const char exact_h[] = {
#embed "include/iq_exact.h"
    , 0};
static const char seal_h[] = {
#embed "include/iq_seal.h"
    , 0};
static const char pack_h[] = {
#embed "include/iq_pack.h"
    , 0};

static const struct iq_source sources[] = {
    {"decode.cu", decode_cu},
    {"append.cu", append_cu},
    {"seal.cu", seal_cu},
    {"unpack.cu", unpack_cu},
    {"iq_device_tile.h", device_tile_h},
    {"iq_device_cache.h", device_cache_h},
    {"seal_tile.cuh", seal_tile_h},
    {"seal_feedback.cuh", seal_feedback_h},
    {"iq_device_append.h", device_append_h},
    {"iq_exact.h", exact_h},
    {"iq_seal.h", seal_h},
    {"iq_pack.h", pack_h},
};

int iq_source_count(void) { return sizeof sources / sizeof sources[0]; }

struct iq_source iq_source_at(int index) { return sources[index]; }
