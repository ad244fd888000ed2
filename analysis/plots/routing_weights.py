"""Mean routing weights of every expert, block by block, at the last degree."""
import numpy as np

from intervals import mean_interval
from sweep import Missing, routes_by_span

from . import style

NAME = "routing_weights"


def draw(sweep, pair, target):
    rows, _ = routes_by_span(sweep, pair, target)
    rows = rows[(rows["degree"] == rows["degree"].max()).fillna(False).astype(bool)]
    weights = sweep.routing
    spans = sorted(int(s) for s in rows["span"].unique())
    members = sweep.members(pair)
    if not weights["id"].isin(rows["id"]).any():
        raise Missing("routing weights")
    figure, axes, _ = style.new_figure(1, len(spans), max(6.8, 3.4 * len(spans)), 3.6)
    tables = {span: weights[weights["id"].isin(rows.loc[rows["span"] == span, "id"])] for span in spans}
    means = {span: own.groupby(["block", "expert"])["weight"].mean().unstack() for span, own in tables.items()}
    most = max(0.01, max(float(np.nanmax(table)) for table in means.values()))
    for axis, span in zip(axes[0], spans):
        own, table = tables[span], means[span]
        image = axis.imshow(table.to_numpy(), origin="lower", aspect="auto", cmap="cividis", vmin=0, vmax=most)
        axis.grid(False)
        for (i, j), value in np.ndenumerate(table.to_numpy()):
            spread = mean_interval(own[(own["block"] == table.index[i]) & (own["expert"] == table.columns[j])]["weight"], "seeds")
            if np.isfinite(value) and table.size <= 60:
                text = f"{value:.2f}" + (f"\n±{spread.high - spread.mean:.2f}" if np.isfinite(spread.low) else "")
                axis.text(j, i, text, ha="center", va="center", fontsize=7, color="white" if value < 0.5 * most else "black")
        axis.set_xticks(range(len(table.columns)), labels=[expert_name(e, members, span) for e in table.columns], fontsize=7)
        axis.set_yticks(range(len(table.index)), labels=table.index)
        axis.set_title(f"span {span}")
    axes[0][0].set_ylabel("block")
    figure.colorbar(image, ax=list(axes[0]), shrink=0.8, label="mean routing weight")
    last = means[spans[-1]].to_numpy()
    even = 1 / last.shape[1]
    title = (f"At degree {int(rows['degree'].iloc[0])} and span {spans[-1]} mean routing weights lie between {np.nanmin(last):.2f} and {np.nanmax(last):.2f}; "
             f"even mixing is {even:.2f}")
    return style.finish(figure, title, f"Means over the test text and over {rows['seed'].nunique()} seeds; ±: half of the 95 % interval over seeds (Student's t)."
                        + (" Past the top of the stack a neighbour is the block below." if spans[-1] > 1 else ""))


def expert_name(expert, members, span):
    """Experts are numbered by block, then by member; the base comes last."""
    if expert >= len(members) * span:
        return "base"
    offset = expert // len(members)
    return members[expert % len(members)] + ("", "\nnext block")[offset] if offset < 2 else f"{members[expert % len(members)]}\n{offset} on"
