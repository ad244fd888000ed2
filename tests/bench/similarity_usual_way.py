#!/usr/bin/python3
"""Linear CKA of R representations the usual way, pair by pair, beside cmsweep's all comparisons at once: same data, same
threads, one run.

usage: similarity_usual_way.py BUILD/tests/bench/similarity_bench [--threads 2] [--pairs 12]

The usual way (Kornblith et al. 2019, eqs. 2 to 4, as papers' code has it): for every pair two Gram matrices and
HSIC(K, L) = tr(K H L H) / (n - 1)^2 with the centring matrix H, for (K, L), (K, K) and (L, L); PyTorch, float32. A sample
of pairs is timed, half before and half after the other side, and the median taken for all R (R - 1) / 2.
"""
import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time

import numpy
import torch

R, N, P = 100, 1024, 768


def cka(x, y):
    h = torch.eye(N) - torch.full((N, N), 1 / N)

    def hsic(k, l):
        return torch.trace(k @ h @ l @ h) / (N - 1) ** 2

    k = x @ x.T
    l = y @ y.T
    return (hsic(k, l) / torch.sqrt(hsic(k, k) * hsic(l, l))).item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("benchmark")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--pairs", type=int, default=12)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    generator = numpy.random.default_rng(0)
    common = generator.standard_normal((N, P), dtype=numpy.float32)
    features = numpy.stack([common + generator.standard_normal((N, P), dtype=numpy.float32) for _ in range(R)])
    sample = [tuple(sorted(generator.choice(R, 2, replace=False))) for _ in range(arguments.pairs)]
    values, seconds = {}, []

    def usual_way(pairs):
        for i, j in pairs:
            start = time.perf_counter()
            values[i, j] = cka(torch.from_numpy(features[i]), torch.from_numpy(features[j]))
            seconds.append(time.perf_counter() - start)

    usual_way(sample[:1])  # first calls set up threads
    seconds.clear()
    half = arguments.pairs // 2
    usual_way(sample[:half])
    with tempfile.TemporaryDirectory() as folder:
        features.tofile(folder + "/features")
        environment = dict(os.environ, CMSWEEP_BENCH_THREADS=str(arguments.threads), CMSWEEP_BENCH_FEATURES=folder + "/features",
                           CMSWEEP_BENCH_VALUES=folder + "/values")
        run = subprocess.run([arguments.benchmark, "--benchmark_filter=-Large", "--benchmark_format=json"], env=environment,
                             check=True, stdout=subprocess.PIPE)
        all_values = numpy.fromfile(folder + "/values").reshape(R, R).T  # column-major; rows i <= columns j
    usual_way(sample[half:])

    found = {line["name"].split("/")[0]: line for line in json.loads(run.stdout)["benchmarks"]}
    milliseconds = {name: line["real_time"] for name, line in found.items()}
    pair = statistics.median(seconds)
    pairs = R * (R - 1) // 2
    everything = milliseconds["AllComparisons"] / 1000
    print(f"R = {R}, n = {N}, p = {P}, {arguments.threads} threads")
    print(f"usual way: {1000 * pair:.1f} ms a pair (median of {len(seconds)}, {1000 * min(seconds):.1f} to {1000 * max(seconds):.1f}), "
          f"{pairs * pair:.0f} s for all {pairs}")
    print(f"all at once: {everything:.2f} s, of it {milliseconds['Prepare'] / 1000:.2f} s to prepare, {milliseconds['Products'] / 1000:.3f} s products")
    print(f"ratio: {pairs * pair / everything:.0f}")
    print(f"products: {found['Products']['flops'] / 1e9:.1f} GFLOP/s, matrix products: {found['MatrixProductRate']['flops'] / 1e9:.1f} GFLOP/s, "
          f"share {found['Products']['flops'] / found['MatrixProductRate']['flops']:.2f}")
    print(f"with interval: {milliseconds['WithInterval'] / 1000:.2f} s, with null and interval: {milliseconds['WithNullAndInterval'] / 1000:.2f} s, "
          f"{milliseconds['WithNullAndInterval'] / milliseconds['AllComparisons']:.1f} x the plain values")
    print(f"largest difference: {max(abs(all_values[pair] - value) for pair, value in values.items()):.1e} (the usual way is float32)")


if __name__ == "__main__":
    main()
