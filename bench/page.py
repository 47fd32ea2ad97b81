"""Writes what a run has measured into docs/performance.md: its tables and its plots.

    python -m bench.page bench/results/RUN.json …

Of several runs each has its table of goals; the plots and all the figures are the last one's.

The plots are bars, written as SVG by hand: they need no library and show the difference between two runs.
"""

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from bench import goals
from bench.figures import Figure, Figures

DOCS = Path(__file__).parent.parent / "docs"
PAGE, PLOTS = DOCS / "performance.md", DOCS / "performance"
BEGIN, END = "<!-- measured: written by bench.page -->", "<!-- end of measured -->"
# Pixels.
WIDTH, LABEL, BAR, GAP, FIGURES, HEAD = 720, 230, 16, 8, 100, 36


@dataclass(frozen=True)
class Plot:
    """Bars of the medians of all figures whose name fits; the first group of the pattern labels each."""

    file: str
    title: str
    pattern: str


PLOTS_OF = (
    Plot(
        "rebuild",
        "One rebuild and bare QEMU",
        r"(POST rebuild|POST to ACTIVE|guest off .*|bare QEMU: .*(?<!/s))",
    ),
    Plot("mass", "Servers per second, eight clients", r"(servers rebuilt by .*|bare QEMU: .*/s)"),
    Plot("rows", "A request among so many servers", r"(.*, among \d+ servers)"),
    Plot("clients-get", "GET one server by so many clients", r"GET one server, (\d+ clients?)"),
    Plot("clients-rebuild", "16 servers rebuilt by so many clients", r"servers rebuilt, (\d+ clients?, .*)"),
    Plot("images", "POST to ACTIVE by the size of the image", r"POST to ACTIVE, (image of .*)"),
)


def read(file: Path) -> tuple[Figures, dict[str, Any]]:
    run: dict[str, Any] = json.loads(file.read_text())
    figures = [Figure(f["name"], f["unit"], f["values"], tuple(f["load"])) for f in run["figures"]]
    return Figures(figures), run


def draw(plot: Plot, figures: Figures) -> str | None:
    """The plot as SVG; None where nothing of it was measured."""
    fitting = ((re.fullmatch(plot.pattern, figure.name), figure) for figure in figures.measured)
    bars = [(found[1], figure) for found, figure in fitting if found]
    if not bars:
        return None
    longest = max(figure.median for _, figure in bars)
    height = HEAD + len(bars) * (BAR + GAP)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="8" y="20" font-size="14" font-weight="bold">{escape(plot.title)}</text>',
    ]
    for number, (label, figure) in enumerate(bars):
        top = HEAD + number * (BAR + GAP)
        length = max(1, round((WIDTH - LABEL - FIGURES) * figure.median / longest))
        fill = "#999" if label.startswith("bare") else "#36c"
        value = f"{figure.median:,.1f} {figure.unit}"
        lines += [
            f'<text x="{LABEL - 6}" y="{top + 12}" text-anchor="end">{escape(label)}</text>',
            f'<rect x="{LABEL}" y="{top}" width="{length}" height="{BAR}" fill="{fill}"/>',
            f'<text x="{LABEL + length + 5}" y="{top + 12}">{value}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])


def held_to_goals(figures: Figures, run: dict[str, Any]) -> Iterator[str]:
    machine = run["machine"]
    yield (
        f"Commit {run['commit']}, {run['ended']}, {machine['cores']} cores, "
        f"QEMU {machine['qemu']} under TCG, Python {machine['python']}."
    )
    yield goals.table(figures)


def in_full(figures: Figures, plots: Sequence[Plot]) -> Iterator[str]:
    yield from (f"![{plot.title}](performance/{plot.file}.svg)" for plot in plots)
    yield "Every figure: the median, and how it spread.\n"
    rows = ["| figure | median | p95 | min | max | n | load before, after |", "|" + " --- |" * 7]
    for f in figures.measured:
        values = (f.median, f.p95, min(f.values), max(f.values))
        shown = " | ".join(f"{value:,.1f} {f.unit}" for value in values)
        rows.append(f"| {f.name} | {shown} | {len(f.values)} | {f.load[0]:.1f}, {f.load[1]:.1f} |")
    yield "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, nargs="+")
    runs = [read(file) for file in parser.parse_args().run]
    figures = runs[-1][0]
    PLOTS.mkdir(exist_ok=True)
    drawn = []
    for plot in PLOTS_OF:
        file = PLOTS / f"{plot.file}.svg"
        file.unlink(missing_ok=True)
        if (picture := draw(plot, figures)) is not None:
            file.write_text(picture)
            drawn.append(plot)
    text = PAGE.read_text()
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    body = "\n\n".join([*(part for run in runs for part in held_to_goals(*run)), *in_full(figures, drawn)])
    PAGE.write_text(f"{before}{BEGIN}\n{body}\n{END}{after}")


if __name__ == "__main__":
    main()
