"""Put the tables of the last `trunkline reproduce loading` into docs/reproduction.md.

`make reproduce` calls this, so that no figure on that page is typed by hand; a test compares the
page with the files in docs/results/loading.
"""

import csv
import re
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reproduction.md"
RESULTS = ROOT / "docs" / "results" / "loading"

Rows = list[dict[str, str]]


def read(name: str) -> Rows:
    with (RESULTS / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; all columns but the first two to the right."""
    marks = ["---" if n < 2 else "---:" for n in range(len(header))]
    lines = [header, marks, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def comparison() -> str:
    rows = [
        [
            row["figure"],
            row["number"] if row["unit"] == "points" else f"{row['number']} [{row['unit']}]",
            *(row[name].replace("+-", "±") for name in list(row)[3:]),
        ]
        for row in read("comparison")
    ]
    names = ["paper", "ours", "difference", "within 3", "sum, slots", "max, cont.", "sum, cont."]
    return table(["fig.", "number", *names], rows)


def served() -> str:
    """Every algorithm at the default point, in both cases, under all readings."""
    rows = []
    for name, case in (("figure-6", "bottom-layer sharing"), ("figure-7", "general case")):
        default = [r for r in read(name) if (r["coordinate"], r["value"]) == ("tasks", "80")]
        for algorithm in dict.fromkeys(row["algorithm"] for row in default):
            found = {
                (r["upload"], r["clock"]): f"{100 * float(r['served_ratio']):.1f} "
                f"± {100 * float(r['half_width_95']):.1f}"
                for r in default
                if r["algorithm"] == algorithm
            }
            clocks = ("slots", "continuous")
            cells = [found.get((u, clock), "") for clock in clocks for u in ("max", "sum")]
            rows.append([case, algorithm, *cells])
    return table(
        ["case", "algorithm", "max, slots", "sum, slots", "max, cont.", "sum, cont."], rows
    )


def realisations() -> str:
    return f"Shown here: {int(read('figure-6')[0]['realisations']):,} realisations.\n"


def rates() -> str:
    rows = read("rates")
    names = [name for name in rows[0] if name.endswith("GB/s")]
    return table(
        ["fig.", "number", "paper", *names],
        [
            [
                row["figure"],
                row["number"],
                f"{float(row['paper']):g}" if row["figure"] else "",
                *(f"{float(row[name]):.1f}" for name in names),
            ]
            for row in rows
        ],
    )


def sensitivity() -> str:
    """A row for each number, a column for each setting."""
    rows = read("sensitivity")
    names = [name for name in rows[0] if name != "setting" and not name.startswith("+-")]
    body = []
    for row in rows:
        body.append([row["setting"], *(f"{float(row[name]):.1f}" for name in names)])
    return table(["setting", *names], body)


def latency() -> str:
    rows = [
        [
            row["network"],
            f"{row['batch']}, {row['page cache']}",
            f"{1e3 * float(row['load_s']):.1f}",
            f"{1e3 * float(row['compute_s']):.1f}",
            f"{100 * float(row['loading_share']):.0f} %",
        ]
        for row in read("figure-1")
    ]
    return table(["network", "batch, page cache", "load [ms]", "compute [ms]", "loading"], rows)


TABLES = {
    "realisations": realisations,
    "comparison": comparison,
    "served": served,
    "rates": rates,
    "sensitivity": sensitivity,
    "latency": latency,
}


def filled(page: str, path: Path, tables: Mapping[str, Callable[[], str]]) -> str:
    """The text of the page at a path, with every table in its place."""
    for name, make in tables.items():
        place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        page, count = place.subn(rf"\g<1>\n{make()}\n\g<2>", page)
        if count != 1:
            raise SystemExit(f"{path}: {count} places for the table {name!r}")
    return page


def with_tables(page: str) -> str:
    """This page, with its tables."""
    return filled(page, PAGE, TABLES)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
