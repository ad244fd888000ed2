#!/usr/bin/env python3
"""The golden values of the similarity tests, from the textbook formulas in NumPy and SciPy, written without a look at
the C++: explicit centring matrices, explicit U-centring, explicit deletion of rows. Run it to print them all;
with --check it fails unless the tests beside it hold these numbers and no others of ten digits and more.
"""
import contextlib
import io
import re
import sys
from pathlib import Path

import numpy as np
from scipy import stats

MASK = (1 << 64) - 1


def number(seed, k):
    z = (1000003 * seed + k + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    z ^= z >> 31
    return np.float32(z >> 40) / np.float32(16777216) - np.float32(0.5)


def features(seed, n, p):
    return np.array([number(seed, k) for k in range(n * p)], dtype=np.float32).reshape(n, p)


def related(x, seed, p):
    return features(seed, len(x), p) + x[:, np.arange(p) % x.shape[1]]


def centre(x):
    x = x.astype(np.float64)
    return x - x.mean(0)


def cosine(k, l):
    return (k * l).sum() / np.sqrt((k * k).sum() * (l * l).sum())


def double_centred(k):
    h = np.eye(len(k)) - 1 / len(k)
    return h @ k @ h


def u_centred(k):
    n = len(k)
    k = k.copy()
    np.fill_diagonal(k, 0)
    r = k.sum(1, keepdims=True)
    u = k - r / (n - 2) - r.T / (n - 2) + k.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(u, 0)
    return u


def gram(x):
    x = x.astype(np.float64)
    return x @ x.T


def distances(x):
    x = x.astype(np.float64)
    return ((x[:, None, :] - x[None, :, :]) ** 2).sum(-1)


def rbf(x, f=1.0):
    d = distances(x)
    return np.exp(-d / (2 * f * f * np.median(d[np.triu_indices(len(d), 1)])))


def cka_linear(x, y):
    return cosine(double_centred(gram(x)), double_centred(gram(y)))


def cka_debiased(x, y):
    return cosine(u_centred(gram(x)), u_centred(gram(y)))


def cka_rbf(x, y, f=1.0):
    return cosine(double_centred(rbf(x, f)), double_centred(rbf(y, f)))


def hsic1(k, l):
    """Song et al. 2012, eq. 5."""
    n = len(k)
    k, l = k.copy(), l.copy()
    np.fill_diagonal(k, 0)
    np.fill_diagonal(l, 0)
    one = np.ones(n)
    return (np.trace(k @ l) + (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ k @ l @ one)) / (n * (n - 3))


def cka_minibatch(x, y, batch):
    starts = range(0, len(x) // batch * batch, batch)
    mean = lambda a, b: np.mean([hsic1(gram(a[s:s + batch]), gram(b[s:s + batch])) for s in starts])
    return mean(x, y) / np.sqrt(mean(x, x) * mean(y, y))


def unit_rows(x):
    x = x.astype(np.float64)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def neighbours(x, k):
    s = gram(unit_rows(x))
    np.fill_diagonal(s, -np.inf)
    mask = np.zeros(s.shape)
    for i, row in enumerate(s):
        mask[i, np.argsort(-row, kind="stable")[:k]] = 1
    return mask


def mutual_knn(x, y, k):
    return (neighbours(x, k) * neighbours(y, k)).sum() / (k * len(x))


def cknna(x, y, k):
    """The reference implementation of Huh et al. 2024 (unbiased), without its 1e-6 in the denominator."""
    def hsic(k_, l_):
        n = len(k_)
        return ((k_ * l_.T).sum() + k_.sum() * l_.sum() / ((n - 1) * (n - 2)) - 2 * (k_ @ l_).sum() / (n - 2)) / (n * (n - 3))
    kx, ky = gram(unit_rows(x)), gram(unit_rows(y))
    mx, my = neighbours(x, k), neighbours(y, k)
    both = mx * my
    return hsic(both * kx, both * ky) / np.sqrt(hsic(mx * kx, mx * kx) * hsic(my * ky, my * ky))


def reduced(x, variance):
    u, s, vt = np.linalg.svd(centre(x), full_matrices=False)
    if variance < 1:
        k = np.searchsorted(np.cumsum(s ** 2) / (s ** 2).sum(), variance) + 1
    else:
        k = np.linalg.matrix_rank(centre(x))
    return u[:, :k] * s[:k]


def canonical(x, y):
    qx, _ = np.linalg.qr(x)
    qy, _ = np.linalg.qr(y)
    u, s, _ = np.linalg.svd(qx.T @ qy, full_matrices=False)
    return s, qx @ u


def svcca(x, y, variance=0.99):
    return canonical(reduced(x, variance), reduced(y, variance))[0].mean()


def cca(x, y, variance=1):
    return (canonical(reduced(x, variance), reduced(y, variance))[0] ** 2).mean()


def pwcca(x, y, variance=1):
    rho, h = canonical(reduced(x, variance), reduced(y, variance))
    weight = np.abs(h.T @ centre(x)).sum(1)
    return (weight * rho).sum() / weight.sum()


def procrustes(x, y):
    x, y = centre(x), centre(y)
    return np.linalg.norm(x.T @ y, "nuc") / (np.linalg.norm(x) * np.linalg.norm(y))


def rsa(x, y):
    pairs = np.triu_indices(len(x), 1)
    return stats.spearmanr((1 - np.corrcoef(x.astype(np.float64)))[pairs], (1 - np.corrcoef(y.astype(np.float64)))[pairs])[0]


def interval(theta, left, rows):
    """Busing et al. 1999, delete-m jackknife for unequal m, on the scale atanh."""
    theta, left, rows = np.arctanh(theta), np.arctanh(np.array(left)), np.array(rows)
    g, h = len(rows), rows.sum() / rows
    centre_ = g * theta - ((1 - 1 / h) * left).sum()
    variance = ((h * theta - (h - 1) * left - centre_) ** 2 / (h - 1)).mean()
    half = stats.t.ppf(0.975, g - 1) * np.sqrt(variance)
    return float(np.tanh(theta - half)), float(np.tanh(theta + half))


def jackknife(metric, x, y, group):
    """metric(x, y, kept): without the rows where kept is false."""
    names = np.unique(group)
    return interval(metric(x, y, group >= 0), [metric(x, y, group != g) for g in names], [(group == g).sum() for g in names])


def anew(metric):
    """Computed anew from the rows that remain."""
    return lambda x, y, kept: float(metric(x[kept], y[kept]))


def rbf_kept_bandwidth(x, y, kept):
    return cosine(double_centred(rbf(x)[kept][:, kept]), double_centred(rbf(y)[kept][:, kept]))


def minibatch_kept_batches(batch):
    def value(x, y, kept):
        starts = range(0, len(x) // batch * batch, batch)
        rows = [s + np.flatnonzero(kept[s:s + batch]) for s in starts]
        mean = lambda a, b: np.mean([hsic1(gram(a[r]), gram(b[r])) for r in rows])
        return mean(x, y) / np.sqrt(mean(x, x) * mean(y, y))
    return value


def svcca_kept_directions(variance):
    def value(x, y, kept):
        u, v = reduced(x, variance)[kept], reduced(y, variance)[kept]
        return canonical(u - u.mean(0), v - v.mean(0))[0].mean()
    return value


def main():
    x = features(1, 24, 6)
    y = related(x, 2, 9)
    group = np.arange(24) % 5
    metrics = {
        "cka_linear": anew(cka_linear), "cka_debiased": anew(cka_debiased), "cka_rbf": rbf_kept_bandwidth,
        "cka_minibatch, batch 11": minibatch_kept_batches(11), "mutual_knn, k 4": anew(lambda a, b: mutual_knn(a, b, 4)),
        "cknna, k 4": anew(lambda a, b: cknna(a, b, 4)), "svcca, variance 0.8": svcca_kept_directions(0.8),
        "svcca, variance 0.99": svcca_kept_directions(0.99), "cca": anew(cca), "pwcca, variance 1": anew(pwcca),
        "procrustes": anew(procrustes), "rsa": anew(rsa),
    }
    for name, metric in metrics.items():
        rows = 22 if "minibatch" in name else 24  # the remainder takes no part
        print(name, float(metric(x, y, group >= 0)), *jackknife(metric, x[:rows], y[:rows], group[:rows]))
    print("pwcca, variance 1, arguments exchanged", float(pwcca(y, x)))
    print("pwcca, variance 0.8", float(pwcca(x, y, 0.8)), "exchanged", float(pwcca(y, x, 0.8)))
    print("cka_rbf, f 0.4", float(cka_rbf(x, y, 0.4)))
    wide = features(7, 20, 40)
    print("procrustes, n 20, p 40", float(procrustes(wide, related(wide, 8, 30))))
    print("svcca, variance 0.5, n 20, p 40", float(svcca(wide, related(wide, 8, 30), 0.5)))
    print("pwcca, variance 0.5, n 20, p 40", float(pwcca(wide, related(wide, 8, 30), 0.5)))
    x = features(3, 120, 5)  # n > 8 p
    y = related(x, 4, 5)
    for name in ("cka_linear", "cka_debiased"):
        print(name, "n 120, p 5", float(metrics[name](x, y, x[:, 0] < 9)), *jackknife(metrics[name], x, y, np.arange(120) % 7))
    print("t 0.975", [float(stats.t.ppf(0.975, d)) for d in (1, 3, 10, 31)])


def check():
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        main()
    decimals = r"-?\b\d+\.\d{10,}"
    golden = [float(number) for number in re.findall(decimals, printed.getvalue())]
    held = {}
    for file in sorted(Path(__file__).parent.glob("*_test.cpp")):
        for line, text in enumerate(file.read_text().splitlines(), 1):
            for number in re.findall(decimals, text):
                if not number.startswith("3.14159"):
                    held[float(number)] = f"{file.name}:{line}"
    among = lambda number, numbers: any(abs(number - other) < 1e-12 for other in numbers)
    problems = [f"{number}: no test holds it" for number in golden if not among(number, held)]
    problems += [f"{where}: {number} is none of the golden values" for number, where in held.items() if not among(number, golden)]
    if len(golden) < 40 or problems:
        sys.exit("\n".join([f"{len(golden)} golden values", *problems]))


if __name__ == "__main__":
    check() if sys.argv[1:] == ["--check"] else main()
