"""Put the table that the demo printed last into the README: `python tools/readme.py`.

`make results` calls this after the demo, so that no figure in the README is typed by hand; a test
compares the two files.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DEMO = ROOT / "docs" / "results" / "demo.txt"
PLACE = re.compile(r"(<!-- demo -->\n```text\n).*?(```\n<!-- /demo -->)", re.DOTALL)


def demo_table(output: str) -> str:
    """The last table of the demo's output, its title included."""
    lines = [line.rstrip() for line in output.splitlines()]
    top = max(i for i, line in enumerate(lines) if line.startswith("┏"))
    bottom = max(i for i, line in enumerate(lines) if line.startswith("└"))
    return "\n".join(lines[top - 1 : bottom + 1]) + "\n"


def with_table(readme: str, table: str) -> str:
    """The README with this table in its place."""
    return PLACE.sub(lambda found: found[1] + table + found[2], readme)


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(), demo_table(DEMO.read_text())))
