"""Training loss of the specialists."""
import numpy as np

from intervals import mean_interval
from sweep import Missing

from . import style

NAME = "training_curves"


def draw(sweep):
    curves = sweep.training
    if curves.empty:
        raise Missing("training curves (specialists that were fine-tuned here)")
    models = list(curves["model"].unique())
    figure, axes, room = style.new_figure(1, 1, 6.4, 4.0, legend_lines=1 + len(models) // 4)
    axis, words = axes[0][0], []
    for i, model in enumerate(models):
        wide = curves[curves["model"] == model].pivot(index="step", columns="seed", values="loss")
        window = max(1, len(wide) // 40)
        smooth = wide.rolling(window, center=True, min_periods=1).mean()
        color = list(style.FAMILY_STYLES.values())[i % 4]["color"]
        axis.plot(smooth.index, smooth.mean(axis=1), color=color, linestyle=style.DASHES[i % len(style.DASHES)], label=model)
        ends = [mean_interval(step, "seeds") for step in smooth.to_numpy()]
        if np.isfinite(ends[0].low):
            axis.fill_between(smooth.index, [e.low for e in ends], [e.high for e in ends], color=color, alpha=0.2, linewidth=0)
        words.append(f"{model} from {smooth.iloc[0].mean():.2f} to {smooth.iloc[-1].mean():.2f}")
    axis.set_xlabel("step")
    axis.set_ylabel("training loss (nat per token)")
    style.legend_below(room, axis, 4)
    seeds = curves.groupby("model")["seed"].nunique()
    return style.finish(figure, "Training loss: " + "; ".join(words), f"Mean over {style.range_text(seeds)} seeds of a running mean over "
                        "1/40 of the steps; bands: 95 % intervals over seeds (Student's t).")
