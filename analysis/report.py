#!/usr/bin/python3
"""Writes a sweep's results as one HTML page that needs nothing else: the verdicts, the figures, costs, settings and where all of it
comes from, failures, and what the store lacks. To be read by someone who has not seen the code.

usage: report.py STORE.h5 [STORE.h5 ...] -o report.html [--outside-plan] [--config CONFIG.toml ...]
"""
from __future__ import annotations

import argparse
import base64
import io
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import jinja2
import matplotlib
import numpy as np

import cmsweep_reader
import figures
import findings
import plots
import verdict
from cmsweep_reader import StoreError
from plots import style
from sweep import Missing, Sweep

TEMPLATES = Path(__file__).resolve().parent / "templates"
FEW = 6  # cases (a pair on a target) of which each has a table of its own at the top
LARGEST_SVG = 400_000  # bytes; larger drawings are smaller, and as sharp as a screen needs, as PNG


# ---- figures

@dataclass(frozen=True)
class Picture:
    name: str
    title: str    # what is seen
    caption: str  # how it was made
    shows: str    # what kind of figure it is
    uri: str
    width: int    # in CSS pixels, at which its text can be read

    @property
    def alt(self):
        return f"{self.shows} {self.title}. {self.caption}"


def picture(name, module, figure) -> Picture:
    title, caption = style.take_words(figure)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    kind = "svg+xml"
    if drawn.tell() > LARGEST_SVG:
        drawn, kind = io.BytesIO(), "png"
        figure.savefig(drawn, format="png", dpi=150, metadata={"Software": None})
    uri = f"data:image/{kind};base64,{base64.b64encode(drawn.getvalue()).decode()}"
    return Picture(name, title, caption, " ".join((module.__doc__ or "").split()), uri, round(figure.get_size_inches()[0] * 110))


def pictures(sweep):
    """[(what they are of, [Picture])], [(kind of figure, what it lacks, for what)]."""
    groups, missing = {}, {}
    with matplotlib.rc_context(style.SETTINGS):
        for name, module, arguments in figures.requests(sweep):
            of = f"All pairs on {arguments[0]}" if module in plots.OF_A_TARGET else " on ".join(arguments) or "The whole sweep"
            try:
                groups.setdefault(of, []).append(picture(name, module, module.draw(sweep, *arguments)))
            except Missing as lack:
                missing.setdefault((module.NAME, str(lack)), []).extend([of] if arguments else [])
    if not sweep.cases():
        missing["all other figures", "combinations of members alike in degree"] = []
    return [group for group in groups.items() if group[1]], [(*key, which) for key, which in missing.items()]


# ---- verdicts

@dataclass(frozen=True)
class Case:
    """A pair on a target, with its verdicts by degree."""
    pair: str
    target: str
    verdicts: list

    @property
    def last(self):
        return self.verdicts[-1]


def cases_of(found):
    cases = {}
    for v in found:
        cases.setdefault((v.pair, v.target), []).append(v)
    return [Case(pair, target, of) for (pair, target), of in cases.items()]


def summed_up(cases):
    """[(pair, targets, verdicts)]: those with something to combine first; the targets on which a pair is nowhere to be combined together."""
    some, none = [], {}
    for case in cases:
        if all(v.word == verdict.NOT_AT_ALL for v in case.verdicts):
            none.setdefault((case.pair, tuple(v.degree for v in case.verdicts)), []).append(case)
        else:
            some.append((case.pair, [case.target], case.verdicts))
    return some + [(pair, [case.target for case in of], of[0].verdicts) for (pair, _), of in none.items()]


def scale_of(options):
    """A function from nats to the x of a strip 200 wide that holds every interval and zero."""
    ends = [x for o in options for x in (o.gain.low, o.gain.high, o.gain.mean) if np.isfinite(x)] + [0.0]
    low, high = min(ends), max(ends)
    width = (high - low) or 1.0
    return lambda x: round(8 + 184 * (min(max(x, low), high) - low) / width, 1)


@dataclass(frozen=True)
class Cost:
    name: str
    entry: object
    role: str  # "single", "chosen", ""


def costs_of(case, said):
    """The models alone, the best of every family and the models trained instead, at the last degree."""
    v = case.last
    rows = [Cost(f"{v.single_name} alone (the best single model)", v.single, "single")]
    if v.base is not None and v.single_name != "base":
        rows.append(Cost("base alone", v.base, ""))
    rows += [Cost(f"{verdict.WORDS[o.family]}: {verdict.name_of(o, said)}", o.entry, "chosen" if v.choice and o is v.choice else "") for o in v.options]
    return rows + [Cost(f"instead of combining: {verdict.name_of(entry, said)}", entry, "") for entry in v.references.values()]


# ---- numbers and words

def number(value, digits=4):
    return "–" if value is None or not np.isfinite(value) else typeset(f"{value:.{digits}f}")


def signed(value, digits=4):
    return "–" if not np.isfinite(value) else typeset(f"{round(value, digits) + 0.0:+.{digits}f}")  # no -0.0000


def typeset(words):
    """True minus signs and multiplication signs."""
    return re.sub(r"(?<=\d) x (?=\S)", " × ", re.sub(r"(?<![\w.])-(?=\d)", "−", str(words)))


def interval(i, digits=4):
    """"+0.0593 [+0.0483, +0.0702]"."""
    if i.n == 0:
        return "no data"
    if not np.isfinite(i.low):
        return f"{signed(i.mean, digits)} (no interval: n = 1)"
    return f"{signed(i.mean, digits)} [{signed(i.low, digits)}, {signed(i.high, digits)}]"


def short(value):
    """1234567 -> "1.23 M"."""
    value, unit = float(value), ""
    for unit in ("", "\u202fk", "\u202fM", "\u202fG", "\u202fT", "\u202fP"):
        if abs(value) < 1000 or unit.endswith("P"):
            break
        value /= 1000
    return f"{value:.0f}" if not unit else f"{value:.3g}{unit}"


def perplexity(gain):
    """By how many per cent a gain in nats lowers the perplexity."""
    return f"{100 * (1 - np.exp(-gain)):.1f}\u202f%"


def listed(names):
    """"a, b and c"."""
    names = list(map(str, names))
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def duration(seconds):
    if seconds is None or not np.isfinite(seconds):
        return "–"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    seconds = int(round(seconds))
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min" if seconds >= 3600 else f"{seconds // 60} min {seconds % 60:02d} s" if seconds >= 60 else f"{seconds} s"


# ---- the page

def grouped_failures(paths):
    """[(table, status, message, how many, the first few)], the most frequent first."""
    failed = cmsweep_reader.failures(paths)
    groups = [(*key, len(rows), [f"{what}, seed {seed}" if seed >= 0 else what for what, seed in zip(rows["what"][:5], rows["seed"])])
              for key, rows in failed.groupby(["table", "status", "message"], sort=False)]
    return sorted(groups, key=lambda group: -group[3])


def by_outcome(found):
    """[(claim, verdict, [what it was judged on])] of findings, claim by claim."""
    groups = {}
    for f in found:
        groups.setdefault((f.name, f.verdict), []).append(f.pair + (f" on {f.target}" if f.target else ""))
    return sorted(((*key, which) for key, which in groups.items()), key=lambda group: group[0])


def axes_of(sweep):
    """What was varied: (axis, values in words)."""
    df, said = sweep.experiments, verdict.SettingText(sweep)
    together = df[~df["method"].isin(["base", "specialist"])]
    degrees = sorted({int(d) for c in df.columns if c.startswith("degree_") for d in df[c].dropna()})
    methods = []
    for method, rows in together.groupby("method", observed=True):
        texts = [t for t in dict.fromkeys(said({"method": method, "setting": s}) for s in rows["setting"].astype(str)) if t]
        methods.append(f"{method}: {'; '.join(texts)}" if texts else str(method))
    return [("pairs", list(dict.fromkeys(together["pair"].astype(str)))), ("degrees", degrees), ("layers", list(dict.fromkeys(together["layer"].astype(str)))),
            ("targets", list(dict.fromkeys(df["target"].astype(str)))), ("seeds", sorted(map(int, df["seed"].unique()))), ("methods", methods)]


def page(paths, outside_plan=False, configs=()) -> str:
    """The whole page for one store or several. configs: files of configs that filled them besides those that they hold."""
    sweep = Sweep(paths, outside_plan)
    found, said = verdict.verdicts(sweep, configs), verdict.SettingText(sweep)
    drawn, missing = pictures(sweep)
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True,
                                     undefined=jinja2.StrictUndefined)
    environment.filters.update(number=number, signed=signed, interval=interval, short=short, perplexity=perplexity, listed=listed, duration=duration, typeset=typeset, by_outcome=by_outcome, summed_up=summed_up, zip=zip)
    runs, cases = cmsweep_reader.runs(paths), cases_of(found)
    last = [case.last.word for case in cases]
    last_instead = [method for case in cases for method, _, _ in case.last.instead]
    return environment.get_template("report.html.j2").render(
        style_sheet=(TEMPLATES / "report.css").read_text(), sweep=sweep, made=[cmsweep_reader.provenance(path) for path in paths],
        files=[Path(path).name for path in paths], cases=cases, many=len(cases) > FEW, words=verdict.WORDS, said=said, word_of=verdict.words,
        tally=[(word, last.count(word)) for word in dict.fromkeys(last)],
        tally_instead=[(method, last_instead.count(method)) for method in dict.fromkeys(last_instead)], instead=verdict.INSTEAD,
        reason=verdict.reason, similarity_text=verdict.similarity_text, metric_name=style.metric_name, scale_of=scale_of,
        costs_of=lambda case: costs_of(case, said), finite=np.isfinite, learned=learned_methods(sweep),
        findings=findings.findings(paths, outside_plan), claims=findings.CLAIMS, figures=drawn, missing=missing,
        progress=cmsweep_reader.progress(paths), failures=grouped_failures(paths), axes=axes_of(sweep), runs=runs.to_dict("records"))



def learned_methods(sweep):
    """Methods that saw training text of the target."""
    df = sweep.experiments
    return sorted(set(df.loc[(df["target_tokens"] > 0).fillna(False).astype(bool), "method"].astype(str)))


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Writes a sweep's results as one HTML page that needs nothing else.")
    parser.add_argument("stores", nargs="+", metavar="STORE.h5")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="report.html")
    parser.add_argument("--outside-plan", action="store_true", help="also rows that the stores' last configs no longer ask for")
    parser.add_argument("--config", action="append", default=[], metavar="CONFIG.toml", help=verdict.CONFIG_HELP)
    options = parser.parse_args(arguments)
    try:
        text = page(options.stores, options.outside_plan, options.config)
    except (StoreError, OSError, tomllib.TOMLDecodeError) as error:
        print(f"report.py: {error}", file=sys.stderr)
        return 2
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text, encoding="utf-8")
    print(options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
