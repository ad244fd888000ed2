"""A sweep's results as the figures and findings ask for them: settings with their seeds, the best of several, paired differences."""
from __future__ import annotations

import json
import os
import tomllib
import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

import cmsweep_reader
from intervals import Interval, mean_interval


class Missing(Exception):
    """The store lacks what a figure or a finding needs; the message says what."""


@dataclass(frozen=True)
class Entry:
    """One way to combine (or a model alone): one row a seed."""
    rows: pd.DataFrame    # a selection of Sweep.experiments, one row a seed
    blocks: pd.DataFrame  # the block losses of these rows

    @property
    def loss(self):
        return float(self.rows["loss"].mean())

    @property
    def loss_select(self):
        return float(self.rows["loss_select"].mean())

    @property
    def varies(self):
        """Did the seeds compute different things? If not, all rows are the same computation and say nothing of spread."""
        return self.rows["id"].nunique() > 1

    def __getitem__(self, column):
        return self.rows[column].iloc[0]


def difference(first: Entry, second: Entry) -> Interval:
    """Test loss of `first` minus that of `second`, paired: by seed where seeds vary, else by block of the test text."""
    return contrast([(1, first), (-1, second)])


def contrast(terms) -> Interval:
    """Sum of coefficient x test loss over [(coefficient, entry)], taken seed by seed where any seeds vary, else (or where only
    one seed is common to all) by block of the test text."""
    if any(entry.varies for _, entry in terms):
        by_seed = sum(coefficient * entry.rows.set_index("seed")["loss"] for coefficient, entry in terms).dropna()
        if len(by_seed) > 1:
            return mean_interval(by_seed, "seeds")
        if len(by_seed) == 0:
            return mean_interval([], "seeds")
        terms = [(coefficient, first_of(entry, by_seed.index[0])) for coefficient, entry in terms]
    return mean_interval(sum(coefficient * entry.blocks.to_numpy()[0] for coefficient, entry in terms), "text blocks")


def first_of(entry, seed):
    """The entry with that seed alone."""
    at = entry.rows["seed"] == seed
    return Entry(entry.rows[at], entry.blocks[at])


class Sweep:
    """The committed results of one store, or of several.

    outside_plan: also what the last config no longer asks for, as when several configs filled one store. Rows with the same
    labels but another content (two configs that differ in a setting of training, say) cannot be told apart by name then: the
    planned one stands, else the one stored last, and `ambiguous` counts those left out.
    """

    def __init__(self, paths, outside_plan=False):
        self.paths, self.outside_plan = paths, outside_plan
        everything, self._blocks = cmsweep_reader.experiments_and_block_losses(paths, outside_plan=outside_plan)
        labels = ["seed", "pair", "method", "setting", "target", "layer", *(c for c in everything if c.startswith("degree_"))]
        repeated = everything.sort_values("in_plan", kind="stable")[labels].astype(str).duplicated(keep="last").sort_index()
        self.ambiguous = int(repeated.sum())
        self.experiments = everything[~repeated]
        self.experiments.attrs = everything.attrs

    # ---- the other tables

    @cached_property
    def comparisons(self):
        """As cmsweep_reader.comparisons. Of several with the same labels (configs whose probes differ in windows, say) the planned
        one comes last, and so stands in `similarity`; else that with the narrowest null, which saw the most text."""
        data = cmsweep_reader.comparisons(self.paths, outside_plan=self.outside_plan)
        if not self.outside_plan:
            return data
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # means over rows without any
            width = np.nanmean((data["null_p95"] - data["null_mean"]).values, axis=(1, 2))
        return data.isel(row=np.lexsort((-np.nan_to_num(width, nan=np.inf), data["in_plan"].values)))

    def similarity(self, metric, against="pair", probe=None, site=None):
        """As cmsweep_reader.similarity."""
        return cmsweep_reader.arranged(self.comparisons, metric, against, probe, site)

    @cached_property
    def training(self):
        """As cmsweep_reader.training; of several trajectories of one model and seed the one stored last."""
        curves = cmsweep_reader.training(self.paths, outside_plan=self.outside_plan)
        return curves[curves["id"] == curves.groupby(["model", "seed"])["id"].transform("last")]

    @cached_property
    def routing(self):
        """As cmsweep_reader.routing."""
        return cmsweep_reader.routing(self.paths, outside_plan=self.outside_plan)

    # ---- what there is

    @cached_property
    def combinations(self):
        """The rows that combine two or more members, alike in degree."""
        df = self.experiments
        return df[(df["family"] != "reference") & df["degree"].notna()]

    def cases(self):
        """(pair, target), in the store's order, with at least one combination."""
        return list(self.combinations.groupby(["pair", "target"], observed=True, sort=True).groups)

    def members(self, pair):
        row = self.experiments[self.experiments["pair"] == pair].iloc[0]
        return [row[c] for c in self.experiments.columns if c.startswith("member_") and isinstance(row[c], str)]

    def degrees(self, pair, target):
        df = self.combinations
        return sorted(int(d) for d in df.loc[(df["pair"] == pair) & (df["target"] == target), "degree"].unique())

    # ---- entries

    def entry(self, rows) -> Entry:
        rows = rows.sort_values("seed").drop_duplicates("seed")
        return Entry(rows, self._blocks.loc[rows.index])

    def entries(self, rows) -> list[Entry]:
        """One a setting, layer and degree."""
        return [self.entry(group) for _, group in rows.groupby(["method", "setting", "layer", "degree"], observed=True, sort=False)]

    def select(self, pair, target, degree=None, **equal) -> pd.DataFrame:
        """Combination rows of a pair on a target; `equal` are column = value conditions."""
        df = self.combinations
        keep = (df["pair"] == pair) & (df["target"] == target)
        if degree is not None:
            keep &= (df["degree"] == degree).fillna(False).astype(bool)
        for column, value in equal.items():
            if column not in df:
                return df[:0]
            keep &= df[column] == value
        return df[keep]

    def base(self, target):
        df = self.experiments
        return self._alone(df[(df["method"] == "base") & (df["target"] == target)], f"the base on {target}")

    def specialist(self, name, degree, target):
        df = self.experiments
        rows = df[(df["method"] == "specialist") & (df["target"] == target) & (df["member_1"] == name) & (df["degree_1"] == degree)]
        if rows.empty and degree == 0:  # the base by definition; what leaves the plan may lose this second name of the same result
            return self.base(target)
        return self._alone(rows, f"specialist {name} at degree {degree} on {target}")

    def reference(self, method, pair, target, degree):
        """`finetune_target` or `joint` of a pair: the best setting by the select split, or None where the store has none."""
        df = self.experiments
        rows = df[(df["method"] == method) & (df["pair"] == pair) & (df["target"] == target) & (df["degree"] == degree).fillna(False).astype(bool)]
        return best(self.entries(rows)) if len(rows) else None

    def task_vectors(self, pair, degree):
        """(mean norm of the members' task vectors, their mean cosine) over the seeds, as `task_arithmetic` notes them beside its results on
        whatever target; NaN where no row has them, or the cosine of a vector of length 0."""
        df = self.experiments
        rows = df[(df["pair"] == pair) & (df["degree"] == degree).fillna(False).astype(bool) & (df["layer"] == "all") & df["message"].str.contains("tau_norm", regex=False)]
        notes = [json.loads(text) for text in rows.drop_duplicates("seed")["message"]]
        norms, cosines = [np.mean(n["tau_norm"]) for n in notes], [n["tau_cosine"] for n in notes if "tau_cosine" in n]
        return (float(np.mean(norms)) if norms else np.nan, float(np.mean(cosines)) if cosines else np.nan)

    def own_corpus(self, member):
        """The corpus that a specialist was fine-tuned on, by the config. Rows hold only names: where the config (the last one) does not
        know the specialist, the corpus of its name, or with which its name begins, as in code-short; else its name."""
        name = specialist_of(member)
        if name in self._corpora:
            return self._corpora[name]
        named = [t for t in self.experiments["target"].astype(str).unique() if name == t or name.startswith((t + "-", t + "_", t + "."))]
        return max(named, key=len, default=name)

    @cached_property
    def _corpora(self):
        paths = [self.paths] if isinstance(self.paths, (str, os.PathLike)) else self.paths
        configs = [tomllib.loads(cmsweep_reader.provenance(path)["config"]) for path in paths]
        return {s["name"]: s["corpus"] for config in configs for s in config.get("specialist", []) if "corpus" in s}

    def _alone(self, rows, what):
        if rows.empty:
            raise Missing(f"the loss of {what}")
        return self.entry(rows)

    def best_single(self, pair, target, degree):
        """The best of base and specialists, chosen on the select split."""
        return best([self.base(target)] + [self.specialist(name, degree, target) for name in self.members(pair)])

    def main_layer(self, rows):
        """Where to look if the sweep combines at several layers: the whole stack if it is there, else what occurs most."""
        layers = rows["layer"].astype(str).value_counts()
        return "all" if "all" in layers else layers.index[0] if len(layers) else None


def best(entries: list[Entry]) -> Entry:
    """The lowest loss on the select split, among those with the most seeds."""
    if not entries:
        raise Missing("settings to choose from")
    most = max(len(e.rows) for e in entries)
    return min((e for e in entries if len(e.rows) == most), key=lambda e: e.loss_select)


def specialist_of(member):
    """"code" of "code" and of its twin "code#1"."""
    return member.split("#")[0]


def at_every_degree(rows, degrees):
    """The rows of those settings (with their layer) that were run at the most of these degrees: a best setting may be compared
    from degree to degree only if there was the same to choose from. Degree 0, where all is the base, does not count."""
    rows = rows[rows["degree"].isin(degrees)]
    if rows.empty:
        return rows
    positive = rows["degree"].where(rows["degree"] > 0).astype("Float64")
    count = rows.assign(positive=positive).groupby(["method", "setting", "layer"], observed=True)["positive"].transform("nunique")
    return rows[count == count.max()]


def first_weight(rows):
    """Share of the first of two members, whatever the parameters were called; NaN where weights were not set."""
    return rows["weight_1"] / (rows["weight_1"] + rows["weight_2"]) if "weight_2" in rows else rows["weight_1"] * np.nan


def interpolations(sweep: Sweep, pair, target, degree=None, method=None) -> pd.DataFrame:
    """Rows that truly mix two members' MLP outputs (or parameters, where features were not mixed), at the main layer,
    without the ends, which are the parents."""
    rows = sweep.select(pair, target, degree)
    rows = rows[rows["method"].isin([method] if method else ["average", "interpolate_features"])]
    if method is None:
        features = rows[rows["method"] == "interpolate_features"]
        rows = features if len(features) else rows
    rows = rows[rows["layer"] == sweep.main_layer(rows)] if len(rows) else rows
    share = first_weight(rows)
    return rows[(share > 0) & (share < 1)]


def routes_by_span(sweep: Sweep, pair, target):
    """The rows of `route` at the main layer that differ in span alone: of all other parameters, those with the most spans and,
    among these, the lowest select loss. Returns (rows, those parameters as a dict)."""
    rows = sweep.select(pair, target)
    rows = rows[rows["family"] == "routing"]
    if rows.empty:
        raise Missing("rows of method route")
    rows = rows[rows["layer"] == sweep.main_layer(rows)]
    others = [p for p in sweep.experiments.attrs["parameters"] if p != "span" and rows[p].notna().any()]
    groups = [group for _, group in rows.groupby(others, dropna=False, observed=True)] if others else [rows]
    group = min(groups, key=lambda g: (-g["span"].nunique(), g["loss_select"].mean()))
    return group, {name: group[name].iloc[0] for name in others}
