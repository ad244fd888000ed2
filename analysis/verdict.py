#!/usr/bin/python3
"""Can these models be combined, and how? For every pair, degree and target: by parameters, by features, by routing, at the outputs,
or not at all.

The rule, the same as `cmsweep report`'s:

1. Of every family the setting (with its layer) of the lowest loss on the *select* split is taken, mean over seeds, among those with
   the most seeds; likewise the best single model, among the base and the members alone. At equal loss: the first by name, the base
   before its specialists.
2. Its gain is the test loss of the best single model minus its own, paired by seed where seeds vary, else by block of the test text,
   with a 95 % interval by Student's t.
3. A family gains if that whole interval lies above zero (above ROUNDING, what float32 arithmetic alone can make). Where none does,
   and where every member is still the base (degree 0: there is nothing to combine), the verdict is "not at all". As long as the base
   or a member has not been measured alone under every seed of the combinations, there is no verdict: the best single model is not known.
4. Of the families that gain, that of the lowest select loss is the best. The verdict is the cheapest whose test loss is not certainly
   above the best's (the interval of their paired difference is not wholly above ROUNDING): fewest FLOPs per token, then fewest
   parameters stored, then fewest target tokens seen, then the order parameters, features, routing, outputs.

However many settings are tried, choosing among them does not flatter the gain: the choice sees the select split only, the number is of
the test split. Step 3 asks up to four families, each at its own 95 %; the intervals are not widened for that.

A routed or learned combination may have seen training text of the target. What the rule says without those stands beside it, and what
the same setting gains at degree 0, where it can only adapt to that text.

usage: verdict.py STORE.h5 [STORE.h5 ...] [--outside-plan] [--config CONFIG.toml ...]
"""
from __future__ import annotations

import argparse
import json
import os
import sys
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

import cmsweep_reader
from cmsweep_reader import StoreError
from intervals import Interval, mean_interval
from plots.similarity_against_degree import place_of_reading
from sweep import Entry, Missing, Sweep, best, difference

WORDS = {"parameter": "by parameters", "activation": "by features", "routing": "by routing", "output": "at the outputs"}
"""Family -> how it combines, in the order in which they are asked."""
NOT_AT_ALL, OPEN = "not at all", "no verdict yet"
ROUNDING = 1e-5
"""Nats per token: losses are float32 sums, so that combinations of equal models differ by less than this."""
NOT_MEASURED = "not measured in this store"
CONFIG_HELP = "a config that filled the store too, besides the one that it holds: for how specialists were trained"


@dataclass(frozen=True)
class Option:
    """The best setting of one family."""
    family: str
    entry: Entry
    gain: Interval
    to_specialist: dict  # "stored", "active", "flops": ratio to the best single model, which costs what every specialist does
    settings: int        # how many it was chosen from

    @property
    def method(self):
        return str(self.entry["method"])

    @property
    def layer(self):
        return str(self.entry["layer"])

    @property
    def gains(self):
        return self.gain.low > ROUNDING


@dataclass(frozen=True)
class Similarity:
    """How alike the members' representations are, same block against same block."""
    metric: str
    probe: str
    site: str
    mean: Interval   # mean of the blocks; over seeds
    lowest: float    # block
    highest: float
    null_mean: float  # what independent representations give, mean of the blocks
    null_p95: float
    ceiling: float   # the same specialists under another seed; NaN where that was not compared


@dataclass(frozen=True)
class Hint:
    """Something that might change a verdict, and what the store's rows say of it."""
    about: str
    measured: Interval | None  # signed so that above zero is better; None where the store has no rows for it
    text: str


@dataclass(frozen=True)
class Verdict:
    pair: str
    members: list
    degrees: tuple
    target: str
    rows: pd.DataFrame           # all of Sweep.experiments of this pair, degrees and target, references included
    settings: dict               # (method, setting, layer) -> Entry of every combination
    single: Entry
    base: Entry | None
    absent: list                 # single models that have not been measured (yet); while there are any, there is no verdict
    options: list                # one a family that has rows, in the order of WORDS
    choice: Option | None        # None: not at all
    without_target: Option | None  # the same among what saw no target text
    references: dict             # "finetune_target", "joint": its best Entry
    adaptation: Interval | None = None  # gain of the chosen setting at degree 0, where it can only adapt to the target's text
    similarity: Similarity | None = None
    hints: list = field(default_factory=list)

    @property
    def degree(self):
        """"400", or "100/400" where members differ."""
        return str(self.degrees[0]) if len(set(self.degrees)) == 1 else "/".join(map(str, self.degrees))

    @property
    def word(self):
        return OPEN if self.absent else words(self.choice)

    @property
    def single_name(self):
        return str(self.single["member_1"])

    @property
    def best_merge(self):
        """Of all families, by select loss; whether or not it gains."""
        return best([o.entry for o in self.options])

    @property
    def instead(self):
        """[(method, Entry, how much better it is)] of the models trained instead of combining that are certainly better than what the
        verdict says."""
        against = self.choice.entry if self.choice else self.single
        found = [(method, entry, difference(against, entry)) for method, entry in self.references.items()]
        return [] if self.absent else [one for one in found if one[2].low > ROUNDING]


def words(option):
    return NOT_AT_ALL if option is None else WORDS[option.family]


# ---- the rule

def choose(options, degrees) -> Option | None:
    """Steps 3 and 4."""
    gaining = [o for o in options if o.gains]
    if not gaining or not any(degrees):
        return None
    top = min(gaining, key=lambda o: o.entry.loss_select)
    near = [o for o in gaining if o is top or not difference(o.entry, top.entry).low > ROUNDING]
    return min(near, key=lambda o: (o.entry["flops_per_token"], o.entry["parameters_stored"], o.entry["target_tokens"]))


def options_of(entries, single) -> list[Option]:
    """Steps 1 and 2, for each family with entries."""
    options = []
    for family in WORDS:
        own = [entry for entry in entries if entry["family"] == family]
        if own:
            entry = best(own)
            ratios = {name: float(entry[column]) / float(single[column]) for name, column in
                      (("stored", "parameters_stored"), ("active", "parameters_active"), ("flops", "flops_per_token"))}
            options.append(Option(family, entry, difference(single, entry), ratios, len(own)))
    return options


def settings_of(sweep, rows) -> dict:
    """(method, setting, layer) -> Entry, by name, as `cmsweep report` orders them. The rows are of one pair, target and degrees."""
    keys = [rows[c].astype(str) for c in ("method", "setting", "layer")]
    return {key: sweep.entry(group) for key, group in sorted(rows.groupby(keys), key=lambda item: item[0])}


def verdicts(sweep, configs=()) -> list[Verdict]:
    """For every pair, target and degrees with a combination, in the store's order of pairs and targets, degrees ascending. configs:
    files of configs that filled the stores besides those that they hold; they say how specialists were trained."""
    frame = sweep.experiments
    together = frame[~frame["method"].isin(["base", "specialist"])]
    if together.empty:
        return []
    columns = [c for c in frame.columns if c.startswith("degree_")]
    degrees = [tuple(int(d) for d in row if pd.notna(d)) for row in together[columns].itertuples(index=False)]
    found = []
    groups = together.groupby([together["pair"].cat.codes, together["target"].cat.codes, pd.Series(degrees, index=together.index)])
    for (_, _, at), rows in sorted(groups, key=lambda item: item[0]):
        verdict = verdict_of(sweep, rows, at)
        if verdict is not None:
            found.append(verdict)
    similarities, mixes = Similarities(sweep), mixes_of(sweep, configs)
    return [replace(v, adaptation=adaptation(sweep, v, found), similarity=similarities.of(v), hints=hints(sweep, v, found, mixes)) for v in found]


def verdict_of(sweep, rows, degrees) -> Verdict | None:
    pair, target = str(rows["pair"].iloc[0]), str(rows["target"].iloc[0])
    members = sweep.members(pair)
    combined = rows[rows["family"] != "reference"]
    if combined.empty:
        return None
    alone, absent, base = [], [], None
    for name, degree in [("base", 0), *zip(members, degrees)]:
        try:
            entry = sweep.base(target) if name == "base" else sweep.specialist(name, degree, target)
        except Missing:
            if name == "base" or degree > 0 or base is None:  # at degree 0 a member is the base
                absent.append(name)
            continue
        alone.append(entry)
        base = entry if name == "base" else base
        if not set(combined["seed"]) <= set(entry.rows["seed"]):
            absent.append(name)
    if not alone:
        return None
    single = best(alone)
    settings = settings_of(sweep, combined)
    options = options_of(settings.values(), single)
    if not options:
        return None
    unseen = options_of([entry for entry in settings.values() if entry["target_tokens"] == 0], single)
    references = {method: best(list(settings_of(sweep, rows[rows["method"] == method]).values())) for method in ("finetune_target", "joint")
                  if (rows["method"] == method).any()}
    choice, without_target = (None, None) if absent else (choose(options, degrees), choose(unseen, degrees))
    return Verdict(pair, members, degrees, target, rows, settings, single, base, absent, options, choice, without_target, references)


def adaptation(sweep, verdict, found) -> Interval | None:
    """What the chosen setting gains over the base at degree 0: adapting to the target's text, since nothing is combined there."""
    if verdict.choice is None or not verdict.choice.entry["target_tokens"] > 0 or verdict.base is None:
        return None
    own = verdict.choice.entry
    for other in found:
        if other.pair == verdict.pair and other.target == verdict.target and not any(other.degrees):
            rows = other.rows
            rows = rows[(rows["method"] == own["method"]) & (rows["setting"] == own["setting"]) & (rows["layer"] == own["layer"])]
            return difference(verdict.base, sweep.entry(rows)) if len(rows) else None
    return None


# ---- similarity

PREFERRED = ("cka_debiased", "cka_linear")


class Similarities:
    """The store's comparisons, as verdicts ask for them."""

    def __init__(self, sweep):
        self.sweep, data = sweep, sweep.comparisons
        self.frame = data[["metric", "probe", "site", "against", "model_a", "degree_a", "model_b", "degree_b", "seed", "seed_b"]].to_dataframe()
        if self.frame.empty:
            return
        metrics = list(self.frame["metric"].unique())
        metric = next((m for m in PREFERRED if m in metrics), metrics[0])
        kept = (self.frame["metric"] == metric).to_numpy()
        self.metric = str(metric)
        self.frame = self.frame[kept].reset_index(drop=True)
        self.diagonals = {name: np.diagonal(data[name].values[kept], axis1=1, axis2=2) for name in ("value", "null_mean", "null_p95")}

    def of(self, verdict) -> Similarity | None:
        """Of every two members, their mean; None where they were not compared."""
        frame = self.frame
        place = None if frame.empty else place_of_reading(self.sweep, verdict.members)
        if place is None:
            return None
        here = ((frame["probe"] == place[0]) & (frame["site"] == place[1])).to_numpy()
        nodes = list(zip(verdict.members, verdict.degrees))
        rows = np.zeros(len(frame), bool)
        for i, (a, degree_a) in enumerate(nodes):
            for b, degree_b in nodes[i + 1:]:
                for left, right in (((a, degree_a), (b, degree_b)), ((b, degree_b), (a, degree_a))):
                    rows |= ((frame["model_a"] == left[0]) & (frame["degree_a"] == left[1]) & (frame["model_b"] == right[0])
                             & (frame["degree_b"] == right[1]) & (frame["against"] == "pair")).to_numpy()
        rows &= here
        if not rows.any():
            return None
        own = np.zeros(len(frame), bool)
        for model, degree in nodes:
            own |= ((frame["against"] == "seeds") & (frame["model_a"] == model) & (frame["degree_a"] == degree) & (frame["degree_b"] == degree)).to_numpy()
        own &= here
        values = self.diagonals["value"][rows]
        per_seed = pd.Series(np.nanmean(values, axis=1)).groupby(frame["seed"].to_numpy()[rows]).mean()
        over = mean_interval(per_seed if np.ptp(per_seed) > 0 else per_seed[:1], "seeds")
        blocks = np.nanmean(values, axis=0)
        null = {name: float(np.nanmean(self.diagonals[name][rows])) if np.isfinite(self.diagonals[name][rows]).any() else np.nan
                for name in ("null_mean", "null_p95")}
        ceiling = float(np.nanmean(self.diagonals["value"][own])) if own.any() else np.nan
        return Similarity(self.metric, *place, over, float(np.nanmin(blocks)), float(np.nanmax(blocks)), null["null_mean"], null["null_p95"], ceiling)


# ---- what would change it

def hints(sweep, verdict, found, mixes) -> list[Hint]:
    """Each from rows of the store, or said not to be measured."""
    return [specialisation(verdict, found, less=True), specialisation(verdict, found, less=False), datamix(verdict, found, mixes),
            *routers(sweep, verdict.rows), target_text(sweep, verdict.rows), *instead(verdict)]


def outcome(interval):
    """A sentence's end: "certainly better (+0.120 nat [...])"."""
    said = interval.text(unit="nat", digits=4)
    if interval.n == 0 or not np.isfinite(interval.low):
        return f"not to be judged ({said})"
    return ("certainly better" if interval.low > ROUNDING else "certainly worse" if interval.high < -ROUNDING else "not certainly different") + f" ({said})"


def like_with_like(verdict, other):
    """(best merge here, best merge there) of the settings that both have, or None: there must be the same to choose from."""
    shared = [key for key in verdict.settings if key in other.settings]
    return (best([verdict.settings[key] for key in shared]), best([other.settings[key] for key in shared])) if shared else None


def compared(about, verdict, others, what, lacking):
    """The hint of the verdict against the one of `others` whose best merge has the lowest select loss."""
    pairs = [(other, both) for other in others if (both := like_with_like(verdict, other)) is not None]
    if not pairs:
        return Hint(about, None, f"{NOT_MEASURED}: {lacking}")
    other, (here, there) = min(pairs, key=lambda pair: pair[1][1].loss_select)
    change = difference(here, there)
    return Hint(about, change, f"the best merge {what(other)} ({there['method']}; verdict there: {other.word}) is {outcome(change)}, among the settings run for both")


def specialisation(verdict, found, less):
    about, sign, side = ("less specialisation", -1, "lower") if less else ("more specialisation", 1, "higher")
    others = [v for v in found if v.pair == verdict.pair and v.target == verdict.target and v.degrees != verdict.degrees
              and all((b - a) * sign >= 0 for a, b in zip(verdict.degrees, v.degrees))]
    return compared(about, verdict, others, lambda other: f"at degree {other.degree}", f"no {side} degree of this pair with a setting that was run here")


def mixes_of(sweep, configs=()):
    """Specialist -> (corpus, what it was mixed with or None, its other settings), as the stores' configs say, and `configs`. One that
    two configs train in different ways is left out: its name does not say which it is."""
    texts = [cmsweep_reader.provenance(path)["config"] for path in ([sweep.paths] if isinstance(sweep.paths, (str, os.PathLike)) else sweep.paths)]
    known = {}
    for config in map(tomllib.loads, texts + [Path(path).read_text() for path in configs]):
        for specialist in config.get("specialist", []):
            own = {**config.get("finetune", {}), **specialist}
            name, corpus, mix = own.pop("name", None), own.pop("corpus", None), own.pop("mix", None)
            known.setdefault(name, []).append((corpus, mix, own))
    return {name: specs[0] for name, specs in known.items() if all(spec == specs[0] for spec in specs)}


def datamix(verdict, found, mixes):
    """Against the pair of specialists trained alike on the same corpora, but with (or without) a mix."""
    about = "datamix"
    own = [mixes.get(name) for name in verdict.members]
    if any(spec is None or spec[0] is None for spec in own):
        return Hint(about, None, f"{NOT_MEASURED}: its config does not say how every member was trained")
    mixed = any(mix for _, mix, _ in own)

    def counterpart(names):
        other = [mixes.get(name) for name in names]
        return all(o is not None and (o[0], o[2]) == (s[0], s[2]) for o, s in zip(other, own)) and any(o[1] for o in other) != mixed

    others = [v for v in found if v.target == verdict.target and v.degrees == verdict.degrees and len(v.members) == len(own) and counterpart(v.members)]
    changed = {v.pair: sum(bool(mixes[name][1]) != bool(spec[1]) for name, spec in zip(v.members, own)) for v in others}
    others = [v for v in others if changed[v.pair] == max(changed.values())]  # all members rather than one
    how = "without a mix" if mixed else "with other text mixed in"
    return compared(about, verdict, others, lambda other: f"of {other.pair}, trained {how}", f"no such pair was trained on the same corpora {how} ([finetune] mix)")


def differing_in(sweep, rows, parameters):
    """(lowest, [others]) of the rows' entries that differ in these parameters alone, by rising value; None where there are none.
    Of several such groups: the one with most values, then the lowest select loss."""
    own = [p for p in sweep.experiments.attrs["parameters"] if p in rows and p not in parameters and rows[p].notna().any()]
    keys = [rows[c].astype(str) for c in ("method", "layer", *own)]
    groups = []
    for _, group in rows.groupby(keys):
        entries = list(settings_of(sweep, group).values())
        if len(entries) > 1:
            groups.append(entries)
    if not groups:
        return None
    return min(groups, key=lambda entries: (-len(entries), best(entries).loss_select))


def routers(sweep, rows):
    """Routing over more neighbours, and over more experts."""
    routed = rows[rows["family"] == "routing"]
    if routed.empty:
        return [Hint("more routers (span)", None, f"{NOT_MEASURED}: nothing was routed at this degree")]
    found = []
    entries = differing_in(sweep, routed, ["span"])
    if entries is None:
        found.append(Hint("more routers (span)", None, f"{NOT_MEASURED}: it has one span only"))
    else:
        entries = sorted(entries, key=lambda e: e["span"])
        wide = best(entries[1:])
        change = difference(entries[0], wide)
        found.append(Hint("more routers (span)", change, f"routing over span {int(wide['span'])} is, against span {int(entries[0]['span'])}, "
                          + outcome(change) + f", at {wide['flops_per_token'] / entries[0]['flops_per_token']:.2f} x its FLOPs"))
    entries = differing_in(sweep, routed, ["include_base"]) if "include_base" in routed else None
    if entries is None:
        found.append(Hint("the base as an expert", None, NOT_MEASURED))
    else:
        without, with_base = sorted(entries, key=lambda e: bool(e["include_base"]))[:2]
        change = difference(without, with_base)
        found.append(Hint("the base as an expert", change, "routing with it is, against routing without, " + outcome(change)))
    return found


def target_text(sweep, rows):
    """Combinations that learn from the target's text, with more of it."""
    about = "more target text"
    learned = rows[(rows["family"] != "reference") & (rows["target_tokens"] > 0).fillna(False).astype(bool)]
    if learned.empty:
        return Hint(about, None, f"{NOT_MEASURED}: no combination learned from it at this degree")
    entries = differing_in(sweep, learned, ["steps", "batch"])
    if entries is None or len({int(e["target_tokens"]) for e in entries}) < 2:
        return Hint(about, None, f"{NOT_MEASURED}: every combination saw one amount of it")
    entries = sorted(entries, key=lambda e: int(e["target_tokens"]))
    more = best([e for e in entries if e["target_tokens"] > entries[0]["target_tokens"]])
    change = difference(entries[0], more)
    return Hint(about, change, f"{more['method']} that saw {int(more['target_tokens']):,} tokens is, against {int(entries[0]['target_tokens']):,}, "
                + outcome(change))


INSTEAD = {"finetune_target": "the base fine-tuned on the target's own text", "joint": "one model trained on all the members' text"}


def instead(verdict):
    """Training one model instead of combining, where the store has it."""
    found = []
    for method, about in INSTEAD.items():
        if method not in verdict.references:
            found.append(Hint(about, None, f"{NOT_MEASURED} (method {method})"))
            continue
        entry = verdict.references[method]
        against = verdict.choice.entry if verdict.choice else verdict.single
        change = difference(against, entry)
        what = f"what the verdict says ({verdict.choice.method})" if verdict.choice else f"the best single model ({verdict.single_name})"
        found.append(Hint(about, change, f"is, against {what}, " + outcome(change)
                          + f", with {int(entry['target_tokens']):,} tokens of target text"))
    return found


# ---- words

class SettingText:
    """Says of a setting what tells it from the other settings of its method: "alpha 0.5"; empty where there is one only."""

    def __init__(self, sweep):
        self.values = {}
        frame = sweep.experiments[["method", "setting"]].astype(str).drop_duplicates()
        for method, setting in frame.itertuples(index=False):
            for key, value in json.loads(setting or "{}").items():
                self.values.setdefault((method, key), set()).add(json.dumps(value))

    def __call__(self, entry):
        said = []
        for key, value in json.loads(str(entry["setting"]) or "{}").items():
            if value is not None and len(self.values[str(entry["method"]), key]) > 1:
                said.append(f"{key} {value if isinstance(value, str) else json.dumps(value)}")
        return ", ".join(said)


def name_of(option_or_entry, setting_text):
    """"route (span 1), layer all"."""
    entry = getattr(option_or_entry, "entry", option_or_entry)
    said = setting_text(entry)
    return str(entry["method"]) + (f" ({said})" if said else "") + ("" if entry["layer"] == "none" else f", layer {entry['layer']}")


def reason(verdict):
    """Why, in one sentence."""
    if verdict.absent:
        return f"not measured alone: {', '.join(verdict.absent)}"
    if verdict.choice is not None:
        return f"{verdict.choice.gain.text(unit='nat', digits=4)} gained over the best single model ({verdict.single_name})"
    if all(d == 0 for d in verdict.degrees):
        learned = [o for o in verdict.options if o.gains]
        text = "every member is still the base, so there is nothing to combine"
        return text + (f"; what {learned[0].method} gains, {learned[0].gain.text(unit='nat', digits=4)}, is adaptation to the target's text" if learned else "")
    return f"no family gains over the best single model ({verdict.single_name}) with certainty"


def text(found, sweep):
    """Everything as plain text."""
    said, lines, heading = SettingText(sweep), [], None
    for v in found:
        if (v.pair, v.target) != heading:
            lines += [f"{v.pair} on {v.target}", ""]
            heading = v.pair, v.target
        lines.append(f"  degree {v.degree}: {v.word}" + (f" ({name_of(v.choice, said)})" if v.choice else "") + f": {reason(v)}")
        for o in v.options:
            lines.append(f"    {WORDS[o.family].ljust(15)} {name_of(o, said)}: loss {o.entry.loss:.4f}, gain {o.gain.text(unit='nat', digits=4)}; "
                         f"{o.to_specialist['flops']:.2f} x FLOPs, {o.to_specialist['stored']:.2f} x stored, {int(o.entry['parameters_trained']):,} trained, "
                         f"{int(o.entry['target_tokens']):,} target tokens")
        if v.choice and v.choice.entry["target_tokens"] > 0:
            lines.append(f"    without target text: {words(v.without_target)}" + (f" ({name_of(v.without_target, said)}): {v.without_target.gain.text('nat', 4)}"
                                                                                  if v.without_target else ""))
        for method, entry, better in v.instead:
            lines.append(f"    but {INSTEAD[method]} is certainly better: {better.text('nat', 4)}, after {int(entry['target_tokens']):,} tokens of target text")
        if v.adaptation is not None:
            lines.append(f"    the same setting gains at degree 0, by adapting to the target's text alone: {v.adaptation.text('nat', 4)}")
        if v.similarity is not None:
            s = v.similarity
            lines.append(f"    {s.metric} of the members: {similarity_text(s)}")
        lines += [f"    {h.about}: {h.text}" for h in v.hints] + [""]
    lines.append("Losses in nats per token on the test split; settings and single models are chosen on the select split. 95 % intervals of paired differences.")
    if sweep.ambiguous:
        lines.append(f"{sweep.ambiguous} rows were left out: others have the same labels and another content.")
    return "\n".join(lines)


def similarity_text(s):
    value = f"{s.mean.mean:.4f}" + (f" [{s.mean.low:.4f}, {s.mean.high:.4f}], n = {s.mean.n} seeds" if np.isfinite(s.mean.low) else "")
    return (f"mean of the blocks {value}, blocks from {s.lowest:.4f} to {s.highest:.4f}; independent representations would give {s.null_mean:.4f}"
            + (f", 95 % of permutations below {s.null_p95:.4f}" if np.isfinite(s.null_p95) else "")
            + (f"; the same specialist under two seeds {s.ceiling:.4f}" if np.isfinite(s.ceiling) else ""))


def main(arguments=None):
    parser = argparse.ArgumentParser(description="For every pair, degree and target: whether and how to combine, by measured gain and cost.")
    parser.add_argument("stores", nargs="+", metavar="STORE.h5")
    parser.add_argument("--outside-plan", action="store_true", help="also rows that the store's last config no longer asks for")
    parser.add_argument("--config", action="append", default=[], metavar="CONFIG.toml", help=CONFIG_HELP)
    options = parser.parse_args(arguments)
    try:
        sweep = Sweep(options.stores, options.outside_plan)
        print(text(verdicts(sweep, options.config), sweep))
    except (StoreError, OSError, tomllib.TOMLDecodeError) as error:
        print(f"verdict.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
