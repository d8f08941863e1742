"""Latency against offered load, drawn."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.serving.load import LoadSample


def curves(samples: Mapping[str, Sequence[LoadSample]], path: Path) -> None:
    """Draw half and 99 of 100 calls' latency of each method; a cross where calls were refused."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(samples), figsize=(5 * len(samples), 4), squeeze=False)
    for axis, (name, curve) in zip(axes[0], samples.items(), strict=True):
        offered = [sample.offered for sample in curve]
        for percent in (50, 99):
            axis.plot(offered, [sample.percentile(percent) for sample in curve], marker="o", label=f"p{percent}")
        refusing = [sample for sample in curve if sample.refusals]
        axis.plot([s.offered for s in refusing], [s.percentile(99) for s in refusing], "kx", label="some refused")
        axis.set(title=name, xlabel="calls offered a second", ylabel="ms", yscale="log")
        axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
