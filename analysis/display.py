"""What the notebooks show: figures, claims with the differences behind them, tables. All in Markdown and PNG, so that a page that
only displays notebooks shows them too."""
from __future__ import annotations

import io

import matplotlib
from IPython.display import Image, Markdown, display

from plots import style
from sweep import Missing


def figure(module, *arguments, dpi=90):
    """A figure of analysis/plots, or what the store lacks for it."""
    with matplotlib.rc_context(style.SETTINGS):
        try:
            drawn = module.draw(*arguments)
        except Missing as lack:
            said(f"*Not drawn: `{module.NAME}`. The store lacks {lack}.*")
            return
        png = io.BytesIO()
        drawn.savefig(png, dpi=dpi, metadata={"Software": None})
    display(Image(png.getvalue(), width=round(dpi * drawn.get_size_inches()[0])))


def said(text):
    display(Markdown(text))


def table(header, rows):
    """A Markdown table; says so where there are no rows."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    said("\n".join(lines) if rows else "*None.*")


def claims(found, texts):
    """Every claim with its verdict, the reason and the measured differences; `texts`: name of a finding -> the claim in words."""
    for finding in found:
        said(f"**{style.capital(texts[finding.name])}: {finding.verdict}**" + (f" ({finding.reason})." if finding.reason else "."))
        if finding.measured:
            table(["difference", "mean, 95 % interval"], [(what, interval.text(digits=4)) for what, interval in finding.measured])
