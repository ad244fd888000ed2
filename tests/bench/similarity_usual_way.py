#!/usr/bin/python3
"""Linear CKA of R representations the usual way, pair by pair, beside cmsweep's all comparisons at once: same data, same
threads, one run.

usage: similarity_usual_way.py BUILD/tests/bench/similarity_bench [--threads 2] [--pairs 12]

The usual way (Kornblith et al. 2019, eqs. 2 to 4, as papers' code has it): for every pair two Gram matrices and
HSIC(K, L) = tr(K H L H) / (n - 1)^2 with the centring matrix H, for (K, L), (K, K) and (L, L); PyTorch, float32. A sample
of pairs is timed, half before and half after the other side, and stands for all R (R - 1) / 2.
"""
import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time

R, N, P = 100, 1024, 768
PAIRS = R * (R - 1) // 2


def cka(torch, x, y):
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
    # OpenBLAS, which Debian's PyTorch multiplies with, reads its number of threads from the environment when it is loaded;
    # torch.set_num_threads() does not reach it.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(arguments.threads)
    import numpy
    import torch
    torch.set_num_threads(arguments.threads)
    torch.set_num_interop_threads(arguments.threads)

    generator = numpy.random.default_rng(0)
    common = generator.standard_normal((N, P), dtype=numpy.float32)
    features = numpy.stack([common + generator.standard_normal((N, P), dtype=numpy.float32) for _ in range(R)])
    sample = [tuple(sorted(generator.choice(R, 2, replace=False))) for _ in range(arguments.pairs)]
    values, seconds, cpu_seconds = {}, [], []

    def usual_way(pairs):
        for i, j in pairs:
            start, cpu_start = time.perf_counter(), time.process_time()
            values[i, j] = cka(torch, torch.from_numpy(features[i]), torch.from_numpy(features[j]))
            seconds.append(time.perf_counter() - start)
            cpu_seconds.append(time.process_time() - cpu_start)

    usual_way(sample[:1])  # first calls set up threads
    seconds.clear()
    cpu_seconds.clear()
    half = arguments.pairs // 2
    usual_way(sample[:half])
    with tempfile.TemporaryDirectory() as folder:
        features.tofile(folder + "/features")
        environment = dict(os.environ, CMSWEEP_BENCH_THREADS=str(arguments.threads), CMSWEEP_BENCH_FEATURES=folder + "/features",
                           CMSWEEP_BENCH_VALUES=folder + "/values")
        run = subprocess.run([arguments.benchmark, "--benchmark_filter=-(Large|Tokens)", "--benchmark_format=json"], env=environment,
                             check=True, stdout=subprocess.PIPE)
        all_values = numpy.fromfile(folder + "/values").reshape(R, R).T  # column-major; rows i <= columns j
    usual_way(sample[half:])

    lines = {}
    for line in json.loads(run.stdout)["benchmarks"]:
        if line["run_type"] == "iteration":
            lines.setdefault(line["name"].split("/")[0], []).append(line)

    def summary(pick):
        """The figures by wall time (median, fastest) and by CPU time of all threads (median)."""
        def seconds_of(name):
            return pick([line["real_time"] for line in lines[name]], [line["cpu_time"] for line in lines[name]]) / 1000

        def flops(name, counter="flops"):
            # A counter is a rate by wall time; by whatever time is picked, its flops are the same.
            line = lines[name][0]
            return line[counter] * line["real_time"] / 1000 / seconds_of(name)

        pair = pick(seconds, cpu_seconds)
        everything = seconds_of("AllComparisons")
        machine = (flops("MatrixProductRate") + flops("MatrixProductRateAgain")) / 2
        with_all = seconds_of("WithNullAndInterval")
        print(f"  usual way: {1000 * pair:.0f} ms a pair, {PAIRS * pair:.0f} s for all {PAIRS} (from {len(seconds)} pairs)")
        print(f"  all at once: {everything:.2f} s (to prepare {seconds_of('Prepare'):.2f} s, the products {seconds_of('Products'):.3f} s): "
              f"{PAIRS * pair / everything:.0f} x faster")
        flattened = R * (R + 1) * N * N / seconds_of("Products")  # 2 n^2 for each of R (R + 1) / 2 inner products
        print(f"  products, against {machine / 1e9:.1f} GFLOP/s of large matrix products: flattened Gram matrices {flattened / 1e9:.1f} GFLOP/s "
              f"({flattened / machine:.0%}); multiplied in fact {flops('Products') / 1e9:.1f} ({flops('Products') / machine:.0%}); "
              f"of it needed {flops('Products', 'asked_flops') / 1e9:.1f} ({flops('Products', 'asked_flops') / machine:.0%})")
        print(f"  with interval: {seconds_of('WithInterval'):.2f} s, with null and interval: {with_all:.2f} s, "
              f"{with_all / everything:.1f} x the plain values")

    print(f"R = {R}, n = {N}, p = {P}, {arguments.threads} threads; load when done: {os.getloadavg()[0]:.1f}; "
          f"the usual way's CPU time is {statistics.median(c / w for c, w in zip(cpu_seconds, seconds)):.2f} of its wall time")
    print("by wall time, the fastest repetition of each:")
    summary(lambda wall, cpu: min(wall))
    print("by wall time, medians:")
    summary(lambda wall, cpu: statistics.median(wall))
    print("by CPU time of all threads, medians:")
    summary(lambda wall, cpu: statistics.median(cpu))
    print(f"largest difference of a value: {max(abs(all_values[pair] - value) for pair, value in values.items()):.1e} (the usual way is float32)")


if __name__ == "__main__":
    main()
