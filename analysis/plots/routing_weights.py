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
    count = [weights.loc[weights["id"].isin(rows.loc[rows["span"] == span, "id"]), "expert"].max() + 1 for span in spans]
    figure, axes, _ = style.new_figure(1, len(spans), max(6.8, 2.0 + 0.6 * sum(count)), 3.8)
    axes[0][0].get_subplotspec().get_gridspec().set_width_ratios(count)
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
        axis.set_xticks(range(len(table.columns)), labels=[expert_name(e, members, span) for e in table.columns], fontsize=7,
                        **(dict(rotation=40, ha="right", rotation_mode="anchor") if max(map(len, members)) > 6 else {}))
        axis.set_yticks(range(len(table.index)), labels=table.index)
        axis.set_title(f"span {span}")
    axes[0][0].set_ylabel("block")
    figure.colorbar(image, ax=list(axes[0]), shrink=0.8, label="mean routing weight")
    return style.finish(figure, describe(int(rows["degree"].iloc[0]), spans[-1], tables[spans[-1]], members), f"Means over the test text and over {rows['seed'].nunique()} seeds; ±: half of the 95 % interval over seeds (Student's t)."
                        + (" Past the top of the stack a neighbour is the block below." if spans[-1] > 1 else ""))


def describe(degree, span, weights, members):
    """With neighbouring blocks, what they get; else what the member gets that is preferred on the mean of the blocks."""
    experts = weights["expert"].max() + 1
    if span > 1:
        chosen = (weights["expert"] >= len(members)) & (weights["expert"] < len(members) * span)
        what, even = "the neighbouring blocks", len(members) * (span - 1) / experts
    else:
        favourite = int(weights.groupby("expert")["weight"].mean().idxmax())
        chosen, what, even = weights["expert"] == favourite, expert_name(favourite, members, span), 1 / experts
    blocks = weights["block"].nunique()
    share = mean_interval(weights[chosen].groupby("seed")["weight"].sum() / blocks, "seeds")
    beyond = mean_interval(weights[chosen].groupby("seed")["weight"].sum() / blocks - even, "seeds")
    ends = f" [{share.low:.2f}, {share.high:.2f}; n = {share.n} seeds]" if np.isfinite(share.low) else ""
    word = "more than" if beyond.above_zero else "less than" if beyond.below_zero else "not certainly other than"
    return f"At degree {degree} routers over span {span} give {what} {share.mean:.2f} of the weight{ends}, {word} the {even:.2f} of even mixing"


def expert_name(expert, members, span):
    """Experts are numbered by block, then by member; the base comes last."""
    if expert >= len(members) * span:
        return "base"
    offset = expert // len(members)
    return members[expert % len(members)] + ("", "\nnext block")[offset] if offset < 2 else f"{members[expert % len(members)]}\n{offset} on"
