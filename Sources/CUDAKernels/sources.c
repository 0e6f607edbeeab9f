// The kernels' texts, taken into the program by the compiler, so that it needs no files beside it.
#include "CUDAKernels.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

static const char append_cu[] = {
#embed "kernels/cache/append.cu"
    , 0};
static const char decode_cu[] = {
#embed "kernels/decode/decode.cu"
    , 0};
static const char prefill_cu[] = {
#embed "kernels/prefill/prefill.cu"
    , 0};
static const char prefill_hopper_cu[] = {
#embed "kernels/prefill/prefill_hopper.cu"
    , 0};
static const char probe_cu[] = {
#embed "kernels/shared/probe.cu"
    , 0};
static const char seal_cu[] = {
#embed "kernels/cache/seal.cu"
    , 0};
static const char seal_codebook_cu[] = {
#embed "kernels/cache/seal_codebook.cu"
    , 0};
static const char seal_rotated_cu[] = {
#embed "kernels/cache/seal_rotated.cu"
    , 0};
static const char unpack_cu[] = {
#embed "kernels/cache/unpack.cu"
    , 0};
static const char body_tiles_cuh[] = {
#embed "kernels/cache/body_tiles.cuh"
    , 0};
static const char chunk_lookup_cuh[] = {
#embed "kernels/decode/chunk_lookup.cuh"
    , 0};
static const char decode_shape_cuh[] = {
#embed "kernels/decode/decode_shape.cuh"
    , 0};
static const char expand_cuh[] = {
#embed "kernels/decode/expand.cuh"
    , 0};
static const char hadamard_cuh[] = {
#embed "kernels/cache/hadamard.cuh"
    , 0};
static const char hopper_cuh[] = {
#embed "kernels/prefill/hopper.cuh"
    , 0};
static const char integer_query_cuh[] = {
#embed "kernels/decode/integer_query.cuh"
    , 0};
static const char items_cuh[] = {
#embed "kernels/decode/items.cuh"
    , 0};
static const char lookup_codes_cuh[] = {
#embed "kernels/decode/lookup_codes.cuh"
    , 0};
static const char lookup_sides_cuh[] = {
#embed "kernels/decode/lookup_sides.cuh"
    , 0};
static const char lookup_tables_cuh[] = {
#embed "kernels/decode/lookup_tables.cuh"
    , 0};
static const char lookup_turn_cuh[] = {
#embed "kernels/decode/lookup_turn.cuh"
    , 0};
static const char merge_cuh[] = {
#embed "kernels/decode/merge.cuh"
    , 0};
static const char page_source_cuh[] = {
#embed "kernels/cache/page_source.cuh"
    , 0};
static const char prefill_rows_cuh[] = {
#embed "kernels/prefill/prefill_rows.cuh"
    , 0};
static const char ptx_cuh[] = {
#embed "kernels/shared/ptx.cuh"
    , 0};
static const char ring_cuh[] = {
#embed "kernels/decode/ring.cuh"
    , 0};
static const char seal_feedback_cuh[] = {
#embed "kernels/cache/seal_feedback.cuh"
    , 0};
static const char seal_ranges_cuh[] = {
#embed "kernels/cache/seal_ranges.cuh"
    , 0};
static const char seal_tile_cuh[] = {
#embed "kernels/cache/seal_tile.cuh"
    , 0};
static const char tile_half_cuh[] = {
#embed "kernels/decode/tile_half.cuh"
    , 0};
static const char tile_integer_cuh[] = {
#embed "kernels/decode/tile_integer.cuh"
    , 0};
static const char unpack_lookup_cuh[] = {
#embed "kernels/cache/unpack_lookup.cuh"
    , 0};
static const char tile_lookup_cuh[] = {
#embed "kernels/decode/tile_lookup.cuh"
    , 0};
static const char device_append_h[] = {
#embed "include/iq_device_append.h"
    , 0};
static const char device_cache_h[] = {
#embed "include/iq_device_cache.h"
    , 0};
static const char device_prefill_h[] = {
#embed "include/iq_device_prefill.h"
    , 0};
static const char device_probe_h[] = {
#embed "include/iq_device_probe.h"
    , 0};
static const char device_tables_h[] = {
#embed "include/iq_device_tables.h"
    , 0};
static const char device_tile_h[] = {
#embed "include/iq_device_tile.h"
    , 0};
static const char exact_h[] = {
#embed "include/iq_exact.h"
    , 0};
static const char lookup_seal_h[] = {
#embed "include/iq_lookup_seal.h"
    , 0};
static const char pack_h[] = {
#embed "include/iq_pack.h"
    , 0};
static const char seal_h[] = {
#embed "include/iq_seal.h"
    , 0};

static const struct iq_source sources[] = {
    {"append.cu", append_cu},
    {"decode.cu", decode_cu},
    {"prefill.cu", prefill_cu},
    {"prefill_hopper.cu", prefill_hopper_cu},
    {"probe.cu", probe_cu},
    {"seal.cu", seal_cu},
    {"seal_codebook.cu", seal_codebook_cu},
    {"seal_rotated.cu", seal_rotated_cu},
    {"unpack.cu", unpack_cu},
    {"body_tiles.cuh", body_tiles_cuh},
    {"chunk_lookup.cuh", chunk_lookup_cuh},
    {"decode_shape.cuh", decode_shape_cuh},
    {"expand.cuh", expand_cuh},
    {"hadamard.cuh", hadamard_cuh},
    {"hopper.cuh", hopper_cuh},
    {"integer_query.cuh", integer_query_cuh},
    {"items.cuh", items_cuh},
    {"lookup_codes.cuh", lookup_codes_cuh},
    {"lookup_sides.cuh", lookup_sides_cuh},
    {"lookup_tables.cuh", lookup_tables_cuh},
    {"lookup_turn.cuh", lookup_turn_cuh},
    {"merge.cuh", merge_cuh},
    {"page_source.cuh", page_source_cuh},
    {"prefill_rows.cuh", prefill_rows_cuh},
    {"ptx.cuh", ptx_cuh},
    {"ring.cuh", ring_cuh},
    {"seal_feedback.cuh", seal_feedback_cuh},
    {"seal_ranges.cuh", seal_ranges_cuh},
    {"seal_tile.cuh", seal_tile_cuh},
    {"tile_half.cuh", tile_half_cuh},
    {"tile_integer.cuh", tile_integer_cuh},
    {"unpack_lookup.cuh", unpack_lookup_cuh},
    {"tile_lookup.cuh", tile_lookup_cuh},
    {"iq_device_append.h", device_append_h},
    {"iq_device_cache.h", device_cache_h},
    {"iq_device_prefill.h", device_prefill_h},
    {"iq_device_probe.h", device_probe_h},
    {"iq_device_tables.h", device_tables_h},
    {"iq_device_tile.h", device_tile_h},
    {"iq_exact.h", exact_h},
    {"iq_lookup_seal.h", lookup_seal_h},
    {"iq_pack.h", pack_h},
    {"iq_seal.h", seal_h},
};

int iq_source_count(void) { return sizeof sources / sizeof sources[0]; }

struct iq_source iq_source_at(int index) { return sources[index]; }
