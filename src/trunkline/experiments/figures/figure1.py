"""Fig. 1: loading's share of the total latency, measured on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from trunkline.experiments.cells import Cell, Estimate, Results
from trunkline.experiments.figures.base import Claim, Job, Made, write_csv
from trunkline.experiments.layers import NETWORKS
from trunkline.experiments.lines import READINGS
from trunkline.experiments.preset import Preset
from trunkline.pictures.bars import BarChart, draw_bars
from trunkline.pictures.figure import COMPUTE, LOAD

if TYPE_CHECKING:
    from trunkline.experiments.latency import Latency

HEADER = ("figure", "network", "batch", "page cache", "load_s", "compute_s", "loading_share")

PAPER = 88.94
"""Loading's share in percent, on average over the ResNet family, batches of 32, on a GPU."""

REPEATS = 5


class Figure1:
    """The figure: loads and forwards of whole models through the runtime."""

    name = "1"
    title = "loading's share of the latency on this machine"
    needs: tuple[str, ...] = ("torch",)

    def cells(self, preset: Preset) -> Iterable[Cell]:
        """None: nothing is simulated."""
        return ()

    def make(self, job: Job, results: Results) -> Made:
        """Measure, and write `figure-1.csv` and `figure-1.png`."""
        from trunkline.experiments.latency import BATCHES, measure_latencies

        found: list[Latency] = []
        total = 2 * len(BATCHES) * len(NETWORKS)
        with job.working("measuring") as tell, TemporaryDirectory(dir=job.folder) as place:
            for one in measure_latencies(Path(place), 2 if job.quick else REPEATS):
                found.append(one)
                tell(len(found), total)
        stem = job.folder / "figure-1"
        return Made(
            files=(
                write_csv(stem.with_suffix(".csv"), HEADER, [_row(one) for one in found]),
                draw_bars(stem.with_suffix(".png"), [_charts(found)]),
            ),
            claims=_claims(found),
        )


def _row(one: Latency) -> tuple[object, ...]:
    return (
        "1", one.network, one.batch, one.cache, one.load_s, one.compute_s, one.loading_share,
    )  # fmt: skip


def _charts(found: Sequence[Latency]) -> list[BarChart]:
    """One chart for each batch size: load and compute of every network, warm and cold."""
    charts = []
    for batch in sorted({one.batch for one in found}):
        shown = [one for one in found if one.batch == batch]
        charts.append(
            BarChart(
                f"a batch of {batch}",
                "median time [ms]",
                [f"{one.network}, {one.cache}" for one in shown],
                {
                    ("loading the whole model", LOAD): [1e3 * one.load_s for one in shown],
                    ("computing", COMPUTE): [1e3 * one.compute_s for one in shown],
                },
            )
        )
    return charts


def _claims(found: Sequence[Latency]) -> list[Claim]:
    """Our average over the networks beside the paper's, for its batch size."""
    claims = []
    for cache in ("cold", "warm"):
        shares = [100 * x.loading_share for x in found if (x.batch, x.cache) == (32, cache)]
        if shares:
            mean = Estimate(sum(shares) / len(shares), float("nan"))
            text = f"loading's share, {cache}, our CPU"
            claims.append(Claim("1", text, "percent", PAPER, {READINGS[0]: mean}))
    return claims


FIGURE_1 = Figure1()
