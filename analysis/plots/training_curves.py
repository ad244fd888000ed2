"""Training loss of the specialists; where there are many, a panel each."""
import numpy as np

from intervals import mean_interval
from sweep import Missing

from . import style

NAME = "training_curves"
TOGETHER = 4  # curves in one panel that can still be told apart


def draw(sweep):
    curves = sweep.training
    if curves.empty:
        raise Missing("training curves (specialists that were fine-tuned here)")
    models = list(curves["model"].unique())
    columns = 1 if len(models) <= TOGETHER else min(4, len(models))
    rows = -(-len(models) // columns) if columns > 1 else 1
    figure, axes, room = style.new_figure(rows, columns, 6.4 if columns == 1 else 2.6 * columns, 4.0 if rows == 1 else 1.2 + 1.9 * rows,
                                          legend_lines=1 if columns == 1 else 0)
    ends = {}
    for i, model in enumerate(models):
        axis = axes.ravel()[i if columns > 1 else 0]
        wide = curves[curves["model"] == model].pivot(index="step", columns="seed", values="loss")
        window = max(1, len(wide) // 40)
        smooth = wide.rolling(window, center=True, min_periods=1).mean()
        color = list(style.FAMILY_STYLES.values())[i % 4 if columns == 1 else 0]["color"]
        axis.plot(smooth.index, smooth.mean(axis=1), color=color, linestyle=style.DASHES[i % len(style.DASHES)] if columns == 1 else "-", label=model)
        bands = [mean_interval(step, "seeds") for step in smooth.to_numpy()]
        if np.isfinite(bands[0].low):
            axis.fill_between(smooth.index, [e.low for e in bands], [e.high for e in bands], color=color, alpha=0.2, linewidth=0)
        ends[model] = (smooth.iloc[0].mean(), smooth.iloc[-1].mean())
        if columns > 1:
            axis.set_title(model)
    for axis in axes.ravel()[len(models):] if columns > 1 else []:
        axis.remove()
    for axis in axes[-1]:
        axis.set_xlabel("step")
    for axis in axes[:, 0]:
        axis.set_ylabel("training loss (nat per token)" if rows == 1 else "loss (nat)")
    if room is not None:
        style.legend_below(room, axes[0][0], 4)
    seeds = curves.groupby("model")["seed"].nunique()
    return style.finish(figure, describe(ends), f"Mean over {style.range_text(seeds)} seeds of a running mean over 1/40 of the steps; bands: 95 % intervals over "
                        "seeds (Student's t), which train on different batches." + (" Each panel has its own scale." if columns > 1 else ""))


def describe(ends):
    """Where each curve starts and ends; of many, those that change most and least."""
    words = {model: f"{model} from {start:.2f} to {end:.2f}" for model, (start, end) in ends.items()}
    if len(ends) <= TOGETHER:
        return "Training loss: " + "; ".join(words.values())
    falls = {model: start - end for model, (start, end) in ends.items()}
    most, least = max(falls, key=falls.get), min(falls, key=falls.get)
    return f"Training loss of {len(ends)} models: {words[most]} falls most, {words[least]} least"
