"""What to do about one's own models: are they healthy, how alike are they, and how to get what the verdict names. In words, from a store."""
from __future__ import annotations

import json
import os
import shlex

import numpy as np

import verdict
from sweep import Entry, Missing, difference

PROGRAM = "build/release/bin/cmsweep"


def case(verdicts, pair="", target="", degree=""):
    """The verdict for a pair, target and degree ("400", or "100/400"); what is empty is not asked for: the first pair and target then,
    and their last degree. Raises Missing, naming what there is."""
    fitting = [v for v in verdicts if all(not wanted or wanted == there for wanted, there in ((pair, v.pair), (target, v.target), (degree, v.degree)))]
    if not fitting:
        there = "; ".join(cases(verdicts, len(verdicts))) or "none yet: has the sweep run?"
        raise Missing(f"a combination of {pair or 'any pair'} on {target or 'any target'} at {f'degree {degree}' if degree else 'any degree'}; there are: {there}")
    return [v for v in fitting if (v.pair, v.target) == (fitting[0].pair, fitting[0].target)][-1]


def cases(verdicts, most=12) -> list[str]:
    """What there is, one entry a pair and target with its degrees; the first `most` and how many more."""
    degrees = {}
    for v in verdicts:
        degrees.setdefault(f"{v.pair} on {v.target}", []).append(v.degree)
    said = [f"{name} at {'degree' if len(at) == 1 else 'degrees'} {', '.join(at)}" for name, at in degrees.items()]
    return said[:most] + ([f"and {len(said) - most} more"] if len(said) > most else [])


# ---- health

def alone(sweep, found) -> list[tuple[str, Entry]]:
    """The base and the members, each at its degree, as far as they were measured: ("code at degree 400", entry)."""
    models = []
    for name, degree in [("base", 0), *zip(found.members, found.degrees)]:
        try:
            models.append(("base", sweep.base(found.target)) if name == "base" else (f"{name} at degree {degree}", sweep.specialist(name, degree, found.target)))
        except Missing:
            pass  # `remarks` says so
    return models


def health(sweep, found) -> list[list[str]]:
    """One row a model: name, loss and accuracy on the target, loss minus the base's, the same on its own text where the sweep judged on it too."""
    rows = []
    for name, entry in alone(sweep, found):
        change = "" if name == "base" or found.base is None else difference(entry, found.base).text(digits=4)
        own = on_own_text(sweep, str(entry["member_1"]), int(entry["degree_1"]))
        rows.append([name, f"{entry.loss:.4f}", f"{entry.rows['accuracy'].mean():.1%}", change, "" if own is None else f"{own[1].text(digits=4)} (on {own[0]})"])
    return rows


def on_own_text(sweep, member, degree):
    """(target, loss minus the base's there), where the member's own corpus is a target too; None where it is not, or for the base."""
    corpus = sweep.own_corpus(member) if member != "base" else None
    try:
        return corpus, difference(sweep.specialist(member, degree, corpus), sweep.base(corpus))
    except Missing:
        return None


def remarks(sweep, found, failed) -> list[str]:
    """What is odd about the models; empty where nothing is. `failed`: cmsweep_reader.experiments(..., failed=True)."""
    said = [f"{name} has not been measured alone on {found.target} under every seed (yet): is the sweep complete?" for name in found.absent]
    failed = failed[(failed["status"] != "done") & (failed["pair"] == found.pair)]
    said += [f"{count} results of {found.pair} failed: {message}" for message, count in failed["message"].value_counts().items()]
    models = alone(sweep, found)
    for name, entry in models:
        if not np.isfinite(entry.loss):
            said.append(f"the loss of {name} is not finite")
        elif name != "base" and entry["degree_1"] > 0 and found.base is not None and same(entry, found.base):
            said.append(f"{name} predicts exactly as the base does: was it trained, and is its path right?")
        own = on_own_text(sweep, str(entry["member_1"]), int(entry["degree_1"]))
        if own is not None and own[1].low > verdict.ROUNDING:
            said.append(f"{name} is certainly worse than the base on its own text, {own[0]} ({own[1].text('nat', 4)}): trained too hard, or on other text than that?")
    for i, (name, entry) in enumerate(models):
        for other, another in models[i + 1:]:
            if "base" not in (name, other) and entry["degree_1"] > 0 and same(entry, another):
                said.append(f"{name} and {other} predict exactly alike: are they one checkpoint?")
    return said


def same(one, other):
    """The same loss in every block of the text, but for rounding."""
    return bool(np.nanmax(np.abs(one.blocks.to_numpy()[0] - other.blocks.to_numpy()[0])) < verdict.ROUNDING)


# ---- similarity

def alike(found) -> str:
    """Where the members' similarity lies between its null and its ceiling."""
    s = found.similarity
    if s is None:
        return "The members' representations were not compared ([similarity] against = [\"pair\"])."
    text = f"{s.metric} of the members on {s.probe}: {verdict.similarity_text(s)}."
    if np.isfinite(s.ceiling) and s.ceiling > s.null_mean:
        return text + f" On the way from the null to the ceiling they are at {(s.mean.mean - s.null_mean) / (s.ceiling - s.null_mean):.1%}."
    return text + " No ceiling was measured: models fine-tuned here have one with `against = [..., \"seeds\"]`; loaded ones have none."


# ---- what to do

def verdict_of(found, setting_text) -> str:
    """The verdict as a sentence."""
    if found.absent:
        return f"**No verdict yet**: {verdict.reason(found)}."
    if found.choice is None:
        return f"**Verdict: do not combine**: {verdict.reason(found)}."
    return f"**Verdict: combine {found.word}, {verdict.name_of(found.choice, setting_text)}**: {verdict.reason(found)}."


def better_instead(found) -> list[str]:
    """What does certainly better than combining, without combining: training one model, where the store has it."""
    return [f"**Mind**: {hint.about} {hint.text}." for hint in verdict.instead(found) if hint.measured is not None and hint.measured.low > verdict.ROUNDING]


def options(found, setting_text) -> list[list[str]]:
    """One row a family: the best setting, its loss, gain, whether that is certain, and its costs against one specialist."""
    return [[verdict.WORDS[o.family], verdict.name_of(o, setting_text), str(o.settings), f"{o.entry.loss:.4f}", o.gain.text(digits=4),
             "**yes**" if o.gains else "certainly loses" if o.gain.high < -verdict.ROUNDING else "no",
             f"{o.to_specialist['flops']:.2f} x", f"{o.to_specialist['stored']:.2f} x", f"{int(o.entry['parameters_trained']):,}", f"{int(o.entry['target_tokens']):,}"]
            for o in found.options]


OPTION_COLUMNS = ["combine", "best setting (by select)", "of", "loss", "gain over the best single model", "certain?", "FLOPs", "stored", "trained numbers", "target tokens seen"]


def materialize(store, entry, folder) -> str:
    """The command that writes a row's network as a checkpoint: of the seed with the lowest select loss."""
    best = entry.rows.loc[entry.rows["loss_select"].idxmin()]
    return f"{PROGRAM} materialize {shlex.quote(os.fspath(store))} {best['id']} -o {shlex.quote(folder)}"


def folder_of(entry):
    return "merged/" + "-".join([str(entry["pair"]), str(entry["method"]), *([str(int(entry["degree"]))] if entry.rows["degree"].notna().all() else [])])


def method_table(entry) -> str:
    """The [[grid.method]] table that asks for this setting alone."""
    lines = ["[[grid.method]]", f'name = "{entry["method"]}"']
    lines += [f"{key} = {json.dumps(value)}" for key, value in json.loads(str(entry["setting"]) or "{}").items() if value is not None]
    return "\n".join(lines)


def next_step(store, found, setting_text) -> str:
    """Markdown: the exact command or config for what the verdict names."""
    if found.absent:
        return "There is no verdict yet: run the sweep on, the same command continues it."
    command = "```\n{}\n```"
    by_parameters = next((o for o in found.options if o.family == "parameter"), None)
    if found.choice is None:
        return (f"Not at all: keep **{found.single_name}**, the best model alone. As a Hugging Face checkpoint:\n\n"
                + command.format(materialize(store, found.single, folder_of(found.single))))
    if found.choice.family == "parameter":
        return (f"**{verdict.name_of(found.choice, setting_text)}** is one model of the size of a specialist. As a Hugging Face checkpoint:\n\n"
                + command.format(materialize(store, found.choice.entry, folder_of(found.choice.entry))))
    text = (f"**{verdict.name_of(found.choice, setting_text)}** is no single network, so that no checkpoint can hold it: all members run "
            f"({found.choice.to_specialist['stored']:.2f} x the parameters, {found.choice.to_specialist['flops']:.2f} x the FLOPs of one specialist). "
            f"In a config, this setting alone, at `layers = [\"{found.choice.layer}\"]`:\n\n" if found.choice.layer != "none" else
            f"**{verdict.name_of(found.choice, setting_text)}** is no single network, so that no checkpoint can hold it: every member predicts by itself "
            f"({found.choice.to_specialist['stored']:.2f} x the parameters, {found.choice.to_specialist['flops']:.2f} x the FLOPs of one specialist). In a config, this setting alone:\n\n")
    text += f"```toml\n{method_table(found.choice.entry)}\n```"
    if by_parameters is not None:
        what = "also gains" if by_parameters.gains else "loses" if by_parameters.gain.high < -verdict.ROUNDING else "does not gain with certainty"
        text += (f"\n\nThe best single network that merging gives, {verdict.name_of(by_parameters, setting_text)}, {what} "
                 f"({by_parameters.gain.text('nat', 4)}). As a Hugging Face checkpoint:\n\n"
                 + command.format(materialize(store, by_parameters.entry, folder_of(by_parameters.entry))))
    return text
