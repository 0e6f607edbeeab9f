#!/usr/bin/env python3
"""Decode attention of cuDNN in float16 through PyTorch, timed as `innerq bench attention --device cuda` times its own.

One new token of each sequence over a cache of each length; launches of one CUDA graph take turns over copies that together
exceed the second-level cache many times; medians of 21 replays after 120 ms of warm-up. Needs PyTorch for CUDA, with cuDNN.

    python3 Scripts/peers/cudnn_attention.py --lengths 2048,8192,32768,131072 --heads 32 --kv-heads 8 --batch 1,8
"""
import argparse
import json
import math
import statistics
import time

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel


def microseconds(launches):
    """Median time of one of the launches, in a graph of all of them."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for launch in launches[:3]:
            launch()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for launch in launches:
            launch()
    start = time.time()
    while time.time() - start < 0.12:
        graph.replay()
        torch.cuda.synchronize()
    times = []
    for _ in range(21):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        graph.replay()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end) * 1000 / len(launches))
    return statistics.median(times)


def measure(batch, heads, kv_heads, tokens, d, total):
    size = 2 * batch * kv_heads * tokens * d * 2
    copies = max(2, min(160, math.ceil(total / size)))
    make = lambda n, t: torch.randn(batch, n, t, d, device="cuda", dtype=torch.float16)
    query = make(heads, 1)
    caches = [(make(kv_heads, tokens), make(kv_heads, tokens)) for _ in range(copies)]

    def launch(keys, values):
        def run():
            with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
                return F.scaled_dot_product_attention(query, keys, values, enable_gqa=heads != kv_heads)

        return run

    return microseconds([launch(*cache) for cache in caches]), size


def main():
    numbers = lambda text: [int(x) for x in text.split(",")]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=numbers, default=[2048, 8192, 32768])
    parser.add_argument("--batch", type=numbers, default=[1])
    parser.add_argument("--heads", type=int, default=32)
    parser.add_argument("--kv-heads", type=int, default=8)
    parser.add_argument("--head-size", type=int, default=128)
    parser.add_argument("--megabytes", type=int, default=640, help="of caches that take turns, at least")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for batch in options.batch:
        for tokens in options.lengths:
            us, size = measure(
                batch, options.heads, options.kv_heads, tokens, options.head_size, options.megabytes * 1e6)
            rows.append(
                {"batch": batch, "heads": options.heads, "kvHeads": options.kv_heads, "tokens": tokens,
                 "microseconds": round(us, 2), "gigabytesPerSecond": round(size / us / 1e3)})
            torch.cuda.empty_cache()
            if not options.json:
                row = rows[-1]
                print(f"cuDNN float16  {tokens:>8}  {batch:>3} × {options.heads}/{options.kv_heads}  "
                      f"{row['microseconds']:>8.1f} µs  {row['gigabytesPerSecond']:>5} GB/s", flush=True)
    if options.json:
        print(json.dumps({"gpu": torch.cuda.get_device_name(), "torch": torch.__version__,
                          "cudnn": torch.backends.cudnn.version(), "rows": rows}))


if __name__ == "__main__":
    main()
