"""Means of paired differences and their 95 % intervals."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats


RESOLUTION = 1e-6
"""Differences (nats, or similarities) that float32 arithmetic alone can make; no interval within it is above or below zero."""


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval by Student's t. One number alone has no interval: its bounds are infinite."""
    mean: float
    low: float
    high: float
    n: int
    over: str = ""  # what varies: "seeds", "text blocks"

    @property
    def above_zero(self):
        return self.low > RESOLUTION

    @property
    def below_zero(self):
        return self.high < -RESOLUTION

    def text(self, unit="", digits=3):
        """"+0.120 nat [+0.080, +0.160], n = 3 seeds"."""
        unit = " " + unit if unit else ""

        def number(x):
            return f"{x:+.{digits}f}"

        if self.n == 0:
            return "no data"
        if not np.isfinite(self.low):
            return f"{number(self.mean)}{unit} (no interval: n = 1 {self.over.rstrip('s')})"
        return f"{number(self.mean)}{unit} [{number(self.low)}, {number(self.high)}], n = {self.n} {self.over}"


def mean_interval(numbers, over="") -> Interval:
    """Mean of the finite numbers, ± t(0.975, n - 1) times its standard error."""
    numbers = np.asarray(numbers, dtype=float)
    numbers = numbers[np.isfinite(numbers)]
    n = len(numbers)
    if n == 0:
        return Interval(np.nan, -np.inf, np.inf, 0, over)
    mean = float(np.mean(numbers))
    if n == 1:
        return Interval(mean, -np.inf, np.inf, 1, over)
    half = float(stats.t.ppf(0.975, n - 1) * np.std(numbers, ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half, n, over)
