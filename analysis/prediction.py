"""Does similarity predict what merging loses? Statistics over pairs of specialists, which are not independent of each other: two pairs
that share a specialist share whatever is particular to it.

- `within_degree_correlation`: correlation of two quantities over pairs after each degree's mean is taken out of both, so that "both
  change with the degree" counts for nothing (the pooled within-group correlation; Bland and Altman 1995, BMJ 310:446).
- `mantel`: its significance by permuting the specialists' labels in one of the two, the same way at all degrees (Mantel 1967, Cancer
  Research 27:209; Legendre and Legendre 2012, Numerical Ecology, 10.5.1). Pairs are not permuted: that would treat them as independent.
- `leave_one_specialist_out`: errors of predictions of the pairs of a specialist from all pairs without it.

All take `gaps`, one row a pair and degree: specialist_a, specialist_b, degree, and the quantities named. Fewer than four specialists
give six labellings at most, and a specialist left out leaves one pair: NotEstimable says so.
"""
from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from intervals import Interval, mean_interval

LEAST_SPECIALISTS = 4
ALL_LABELLINGS = 5040   # up to seven specialists every labelling is tried
SAMPLED_LABELLINGS = 9999


class NotEstimable(Exception):
    """There is too little to estimate it from; the message says what."""


@dataclass(frozen=True)
class Mantel:
    """A correlation and how often a labelling by chance gives one as far from 0."""
    correlation: float
    p: float           # two-sided; the labelling as observed counts as one
    labellings: int    # that were tried
    exact: bool        # all of them, or a sample
    specialists: int
    pairs: int         # of specialists; each at every degree


def specialists_of(gaps):
    return sorted({*gaps["specialist_a"], *gaps["specialist_b"]})


def complete(gaps) -> pd.DataFrame:
    """The rows of those specialists and degrees of which every pair is there at every degree: of all such choices one with four
    specialists or more if there is one, and of these the one with the most rows. Twins, and pairs of a specialist with itself, are for
    the caller to leave out."""
    there = {d: {frozenset(p) for p in zip(own["specialist_a"], own["specialist_b"])} for d, own in gaps.groupby("degree")}
    groups = {frozenset(group) for pairs in there.values() for group in cliques(pairs)}
    while True:  # what is complete at several degrees is an intersection of what is complete at one
        more = groups | {a & b for a in groups for b in groups if len(a & b) > 1}
        if more == groups:
            break
        groups = more
    best = (0, 0, (), ())
    for group in groups:
        pairs = {frozenset(pair) for pair in itertools.combinations(sorted(group), 2)}
        chosen = tuple(d for d in there if pairs <= there[d])
        best = max(best, (min(len(group), LEAST_SPECIALISTS), len(chosen) * len(pairs), tuple(sorted(group)), chosen))
    _, _, group, chosen = best
    return gaps[gaps["specialist_a"].isin(group) & gaps["specialist_b"].isin(group) & gaps["degree"].isin(chosen)].reset_index(drop=True)


def cliques(pairs):
    """Maximal sets of specialists of which every pair is there, each sorted (Bron and Kerbosch 1973, CACM 16:575)."""
    beside = {}
    for a, b in map(tuple, pairs):
        beside.setdefault(a, set()).add(b)
        beside.setdefault(b, set()).add(a)
    found = []

    def grow(chosen, open_, done):
        if not open_ and not done:
            found.append(sorted(chosen))
        for name in sorted(open_):
            grow(chosen | {name}, open_ & beside[name], done & beside[name])
            open_, done = open_ - {name}, done | {name}

    grow(set(), set(beside), set())
    return [group for group in found if group]


def matrices(gaps, column):
    """Degree x specialist x specialist, symmetric, NaN on the diagonal; and the specialists."""
    names, degrees = specialists_of(gaps), sorted(gaps["degree"].unique())
    array = np.full((len(degrees), len(names), len(names)), np.nan)
    for a, b, degree, value in zip(gaps["specialist_a"], gaps["specialist_b"], gaps["degree"], gaps[column]):
        i, j, d = names.index(a), names.index(b), degrees.index(degree)
        array[d, i, j] = array[d, j, i] = value
    return array, names


def _centred(array):
    """The upper triangles, degree by degree, each with its mean taken out: (degree, pair), then flat. What rounding leaves of equal
    values is 0."""
    upper = np.triu_indices(array.shape[-1], 1)
    values = array[:, upper[0], upper[1]]
    rest = values - values.mean(axis=1, keepdims=True)
    return np.where(np.abs(rest) > 1e-13 * np.abs(values).max(initial=0), rest, 0).ravel()


def _check(gaps, columns):
    if len(specialists_of(gaps)) < LEAST_SPECIALISTS:
        raise NotEstimable(f"{len(specialists_of(gaps))} specialists of which every pair is there; {LEAST_SPECIALISTS} or more are needed")
    n = len(specialists_of(gaps))
    if len(gaps) != gaps["degree"].nunique() * n * (n - 1) // 2 or gaps[["specialist_a", "specialist_b", "degree"]].duplicated().any():
        raise ValueError("expected every pair of the specialists once at every degree; `complete` chooses such rows")
    if not np.isfinite(gaps[list(columns)].to_numpy(float)).all():
        raise NotEstimable(f"a value of {' or '.join(columns)} is missing")


def within_degree_correlation(gaps, x, y) -> float:
    """Pearson's r of x and y over pairs, both less their degree's mean; NaN where one does not vary."""
    first, second = _centred(matrices(gaps, x)[0]), _centred(matrices(gaps, y)[0])
    scale = math.sqrt(float(first @ first) * float(second @ second))
    return float(first @ second) / scale if scale > 1e-300 else math.nan


def mantel(gaps, x, y, seed=0) -> Mantel:
    """The within-degree correlation and its two-sided p by permuting the specialists' labels in y. Every labelling is tried up to seven
    specialists; beyond, a sample that `seed` fixes. With four there are 24, so p is 1/24 at best."""
    _check(gaps, (x, y))
    first, (second, names) = _centred(matrices(gaps, x)[0]), matrices(gaps, y)
    n = len(names)
    exact = math.factorial(n) <= ALL_LABELLINGS
    if exact:
        labellings = itertools.permutations(range(n))  # the first is the one observed
    else:
        draw = np.random.default_rng(seed)
        labellings = itertools.chain([tuple(range(n))], (draw.permutation(n) for _ in range(SAMPLED_LABELLINGS)))
    products = np.array([first @ _centred(second[:, order][:, :, order]) for order in map(list, labellings)])
    observed = within_degree_correlation(gaps, x, y)
    # Relabelling changes no norm, so that products compare as correlations do. Ties count against the finding, rounding aside.
    p = float(np.mean(np.abs(products) >= abs(products[0]) * (1 - 1e-9))) if math.isfinite(observed) else math.nan
    return Mantel(observed, p, len(products), exact, n, n * (n - 1) // 2)


def without_each_specialist(gaps, x, y) -> list[float]:
    """The within-degree correlation without each specialist in turn: how far one of them carries it."""
    return [within_degree_correlation(gaps[(gaps["specialist_a"] != name) & (gaps["specialist_b"] != name)], x, y) for name in specialists_of(gaps)]


@dataclass(frozen=True)
class Prediction:
    """How far a predictor is off on pairs of specialists that it has not seen."""
    name: str
    error: Interval        # mean absolute error, over the specialists left out
    gain: Interval         # that of the reference minus this one's, paired by specialist: above 0 is better than the reference


def design(gaps, columns):
    """A constant, or an indicator of each degree if "degree" is among the columns, and the other columns as they are."""
    parts = []
    degrees = sorted(gaps["degree"].unique())
    if "degree" in columns:
        parts += [(gaps["degree"] == d).to_numpy(float) for d in degrees]
    else:
        parts.append(np.ones(len(gaps)))
    parts += [gaps[c].to_numpy(float) for c in columns if c != "degree"]
    return np.stack(parts, axis=1)


def leave_one_specialist_out(gaps, y, columns):
    """Specialist -> mean absolute error of least squares on `columns` (see `design`), fitted on all pairs without that specialist, on its
    pairs."""
    _check(gaps, (y, *(c for c in columns if c != "degree")))
    X, target, errors = design(gaps, columns), gaps[y].to_numpy(float), {}
    for name in specialists_of(gaps):
        out = ((gaps["specialist_a"] == name) | (gaps["specialist_b"] == name)).to_numpy()
        middle, scale = X[~out].mean(axis=0), X[~out].std(axis=0)
        varies = scale > 1e-12 * np.maximum(np.abs(middle), 1)
        scaled = np.where(varies, (X - np.where(varies, middle, 0)) / np.where(varies, scale, 1), X)
        if "degree" in columns:  # indicators must stay a constant between them
            k = gaps["degree"].nunique()
            scaled[:, :k] = X[:, :k]
        weights, *_ = np.linalg.lstsq(scaled[~out], target[~out], rcond=1e-10)
        errors[name] = float(np.mean(np.abs(scaled[out] @ weights - target[out])))
    return errors


def compare(gaps, y, predictors, reference) -> list[Prediction]:
    """Every predictor {name: columns} by its error on specialists left out, beside `reference`, the name of one of them. Pairs of two
    specialists are left out with both, so that the intervals over specialists are approximate."""
    errors = {name: leave_one_specialist_out(gaps, y, columns) for name, columns in predictors.items()}
    return [Prediction(name, mean_interval(list(own.values()), "specialists"),
                       mean_interval([errors[reference][s] - own[s] for s in own], "specialists")) for name, own in errors.items()]
