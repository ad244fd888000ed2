"""Mean routing weights of every expert, block by block, at the last degree."""
import numpy as np

import cmsweep_reader
from intervals import mean_interval
from sweep import Missing, routes_by_span

from . import style

NAME = "routing_weights"


def draw(sweep, pair, target):
    rows, _ = routes_by_span(sweep, pair, target)
    rows = rows[(rows["degree"] == rows["degree"].max()).fillna(False).astype(bool)]
    weights = cmsweep_reader.routing(sweep.paths)
    spans = sorted(int(s) for s in rows["span"].unique())
    members = sweep.members(pair)
    if not weights["id"].isin(rows["id"]).any():
        raise Missing("routing weights")
    figure, axes, _ = style.new_figure(1, len(spans), max(6.4, 3.2 * len(spans)), 3.6)
    for axis, span in zip(axes[0], spans):
        ids = rows.loc[rows["span"] == span, "id"]
        own = weights[weights["id"].isin(ids)]
        table = own.groupby(["block", "expert"])["weight"].mean().unstack()
        axis.imshow(table.to_numpy(), origin="lower", aspect="auto", cmap="cividis", vmin=0, vmax=max(0.01, float(np.nanmax(table))))
        axis.grid(False)
        for (i, j), value in np.ndenumerate(table.to_numpy()):
            spread = mean_interval(own[(own["block"] == table.index[i]) & (own["expert"] == table.columns[j])]["weight"], "seeds")
            if np.isfinite(value) and table.size <= 60:
                text = f"{value:.2f}" + (f"\n±{spread.high - spread.mean:.2f}" if np.isfinite(spread.low) else "")
                axis.text(j, i, text, ha="center", va="center", fontsize=7, color="white" if value < 0.5 * np.nanmax(table) else "black")
        names = [members[e % len(members)] + ("" if e < len(members) else f", {e // len(members)} on") for e in table.columns]
        names = [n if e < len(members) * span else "base" for e, n in zip(table.columns, names)]
        axis.set_xticks(range(len(names)), labels=names, rotation=30 if len(names) > 4 else 0)
        axis.set_yticks(range(len(table.index)), labels=table.index)
        axis.set_title(f"span {span}")
        axis.set_ylabel("block")
    even = 1 / table.shape[1]
    far = float(np.nanmax(np.abs(table.to_numpy() - even)))
    title = (f"At degree {int(rows['degree'].iloc[0])} and span {spans[-1]} mean routing weights lie within {far:.2f} of even mixing ({even:.2f})")
    return style.finish(figure, title, f"Means over the test text and over {rows['seed'].nunique()} seeds; ±: half of the 95 % interval over seeds (Student's t).")
