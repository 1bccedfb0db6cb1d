"""The picture of a training: loss and accuracy over the epochs."""

from __future__ import annotations

from edgemnist.results import TrainResult
from edgemnist.train.pictures.figure import new_figure, png

FEW_EPOCHS = 10
"""Below this each epoch is marked by a dot."""


def curves_png(result: TrainResult) -> bytes:
    """Return a PNG of loss and accuracy while training, with the accuracies of the finished model as lines."""
    from matplotlib.ticker import MaxNLocator

    epochs = [epoch.epoch for epoch in result.history]
    losses, accuracies = [epoch.loss for epoch in result.history], [epoch.accuracy for epoch in result.history]
    style = {"color": "tab:blue", "marker": "o" if len(epochs) < FEW_EPOCHS else ""}
    layers = "-".join(map(str, [*result.hidden, len(result.labels)]))

    figure = new_figure(9, 3.6)
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
    return png(figure)
