"""The picture of a training: loss and accuracy over the epochs."""

from __future__ import annotations

import io

from edgemnist.results import TrainResult

FEW_EPOCHS = 10
"""Below this each epoch is marked by a dot."""


def curves_png(result: TrainResult) -> bytes:
    """Return a PNG of loss and accuracy while training, with the accuracies of the finished model as lines."""
    # The object interface draws without a display, and leaves pyplot's global state alone.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    epochs = [epoch.epoch for epoch in result.history]
    losses, accuracies = [epoch.loss for epoch in result.history], [epoch.accuracy for epoch in result.history]
    style = {"color": "tab:blue", "marker": "o" if len(epochs) < FEW_EPOCHS else ""}
    layers = "-".join(map(str, [*result.hidden, len(result.labels)]))

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{result.recipe}, 784-{layers}, seed {result.seed}")
    loss, accuracy = figure.subplots(1, 2)
    loss.plot(epochs, losses, **style)
    loss.set(xlabel="epoch", ylabel="loss while training", yscale="log")
    accuracy.plot(epochs, accuracies, label="while training", **style)
    for share, name, color in (
        (result.train_accuracy, "training", "tab:green"),
        (result.test_accuracy, "test", "tab:orange"),
    ):
        accuracy.axhline(share, color=color, linestyle="--", label=f"finished, {name} images: {share:.2%}")
    accuracy.set(xlabel="epoch", ylabel="accuracy")
    accuracy.yaxis.set_major_formatter(lambda share, _: f"{share:.1%}")
    accuracy.legend(loc="lower right")
    for axes in (loss, accuracy):
        axes.grid(alpha=0.3)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    stream = io.BytesIO()
    # Without the version of matplotlib in it, the same curves give the same file.
    figure.savefig(stream, format="png", dpi=120, metadata={"Software": None})
    return stream.getvalue()
