"""Put the tables of the last `trunkline reproduce pulling` into docs/pulling-evaluation.md.

`make reproduce-pulling` calls this, so that no figure on that page is typed by hand; a test
compares the page with the files in docs/results/pulling.
"""

import csv
import json
from pathlib import Path

from tools.reproduction import Rows, filled, table

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "pulling-evaluation.md"
RESULTS = ROOT / "docs" / "results" / "pulling"

MEASURES = ("total_delay_s", "average_cost_s", "average_accuracy")


def read(name: str) -> Rows:
    with (RESULTS / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def setting() -> str:
    found = json.loads((RESULTS / "setting.json").read_text(encoding="utf-8"))
    point = ", ".join(f"{name} {value:,g}" for name, value in found["preset"]["point"].items())
    return f"Shown here: {found['realisations']} realisations, seed {found['seed']}; at {point}.\n"


def comparison() -> str:
    """A row for each pair: the change at the default point, and its range over the sweeps."""
    rows = read("comparison")
    said = [f"{float(row['abstract']):+g}" for row in rows[: len(MEASURES)]]
    body = [
        [
            "the paper's abstract",
            "(none is named)",
            f"at least {said[0]}",
            f"at least {said[1]}",
            said[2],
        ]
    ]
    for n in range(0, len(rows), len(MEASURES)):
        cells = [
            f"{float(row['default_point']):+.1f} ± {float(row['half_width_95']):.1f} "
            f"({float(row['sweeps_worst']):+.0f} … {float(row['sweeps_best']):+.0f})"
            for row in rows[n : n + len(MEASURES)]
        ]
        body.append([rows[n]["ours"], rows[n]["baseline"], *cells])
    return table(
        ["ours", "baseline", "total delay [%]", "average cost [%]", "average accuracy [%]"], body
    )


def sweep(name: str) -> str:
    """What every method reaches along one sweep: delay, with sharing on and off."""
    rows = [row for row in read(name) if row["measure"] == "total_delay_s"]
    values = list(dict.fromkeys(row["value"] for row in rows))
    body = []
    for method, sharing in dict.fromkeys((row["method"], row["sharing"]) for row in rows):
        cells = [
            f"{float(row['mean']):,.0f} ± {float(row['half_width_95']):,.0f}"
            for row in rows
            if (row["method"], row["sharing"]) == (method, sharing)
        ]
        body.append([method, sharing if method != "fallback" else "", *cells])
    return table(["method", "sharing", *(f"{float(value):g}" for value in values)], body)


def shared() -> str:
    return sweep("shared")


def requests() -> str:
    return sweep("requests")


def seconds() -> str:
    """The running time of every method along the sweep over requests."""
    rows = [row for row in read("requests") if row["measure"] in ("planning_s", "certificate")]
    values = list(dict.fromkeys(row["value"] for row in rows))
    body = []
    for method in dict.fromkeys(row["method"] for row in rows if row["method"] != "fallback"):
        for measure, what in (("planning_s", "seconds"), ("certificate", "cost / bound")):
            found = [
                f"{float(row['mean']):.3g}"
                for row in rows
                if (row["method"], row["sharing"], row["measure"]) == (method, "on", measure)
            ]
            body.append([method, what, *found])
    return table(["method", "", *(f"{float(value):g}" for value in values)], body)


TABLES = {
    "setting": setting,
    "comparison": comparison,
    "shared": shared,
    "requests": requests,
    "seconds": seconds,
}


def with_tables(page: str) -> str:
    """This page, with its tables."""
    return filled(page, PAGE, TABLES)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
