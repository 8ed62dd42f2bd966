"""Plots of the results: percent of the peak against size, and a roofline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

# One colour a peer in all plots; deepc's stands out.
COLOURS = {
    "deepc": "#c1121f", "NumPy": "#4d77cf", "NumPy, OPENBLAS_CORETYPE=SkylakeX": "#27306b",
    "PyTorch": "#e08a00", "JAX": "#2a9d8f",
}  # fmt: skip


def draw(data: dict[str, Any], folder: Path) -> Iterator[Path]:
    """Draw what the data has, and yield the files."""
    folder.mkdir(parents=True, exist_ok=True)
    squares = [row for row in data["results"] if row["group"] == "matmul, square"]
    if squares and data["peak"]:
        yield _percent_of_peak(data, squares, folder / "percent-of-peak.png")
    programs = [program for program in data["c"] if program["cases"]]
    if programs:
        yield _roofline(programs, folder / "roofline.png")


def _percent_of_peak(data: dict[str, Any], rows: list[dict[str, Any]], path: Path) -> Path:
    figure, panels = pyplot.subplots(1, 2, figsize=(11, 4.2), sharey=True, layout="constrained")
    for panel, dtype, peak in zip(panels, ("float32", "float64"), ("f32", "f64"), strict=True):
        mine = sorted((row for row in rows if row["dtype"] == dtype), key=lambda row: row["shape"])
        names = list(dict.fromkeys(name for row in mine for name in row["least"]))
        for name in names[::-1]:
            points = [
                (row["shape"][0], 100 * row["flops"] / row["least"][name] / data["peak"][peak])
                for row in mine
                if name in row["least"]
            ]
            style = {"linewidth": 2.4 if name == "deepc" else 1.3, "color": COLOURS.get(name)}
            panel.plot(*zip(*points, strict=True), marker=".", label=name, **style)
        panel.set(title=dtype, xscale="log", xlabel="n of an n x n x n product", ylim=(0, 102))
        panel.set_xticks([2, 8, 32, 128, 512], ["2", "8", "32", "128", "512"])
        panel.grid(alpha=0.3)
    panels[0].set_ylabel(
        f"% of {data['peak']['f32'] * 1e-9:.0f} / {data['peak']['f64'] * 1e-9:.0f} GFLOP/s"
    )
    panels[0].legend(fontsize=8, reverse=True)
    figure.suptitle("Matrix multiply, called from Python, one thread", fontsize=11)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
    return path


# Program, its name in the plot, marker. Cases without arithmetic that counts are not in a roofline.
PROGRAMS = {
    "bench_matmul": ("matrix multiply", "o"),
    "bench_overhead": ("networks, a step", "^"),
}


def _roofline(programs: list[dict[str, Any]], path: Path) -> Path:
    """Rate against operations a byte; the roof is what memory, caches and registers allow."""
    figure, panel = pyplot.subplots(figsize=(8, 5.2), layout="constrained")
    peak = max(program["peak"]["f32"][0] for program in programs)
    levels = {level["name"]: level for program in programs for level in program["levels"]}
    slowest = min(levels.values(), key=lambda level: level["read"])
    x = [2 ** (i / 4) for i in range(-16, 41)]
    note: dict[str, Any] = {"fontsize": 8, "color": "#555555", "rotation_mode": "anchor"}
    note |= {"xytext": (0, 3), "textcoords": "offset points"}
    for name, level in levels.items():
        roof = [min(peak, i * level["read"]) * 1e-9 for i in x]
        panel.plot(x, roof, color="#888888", linewidth=1)
        rate = level["read"] * 1e-9
        # Two of the levels may be as fast as each other: the slowest has its name below its line.
        side = {"va": "top", "xytext": (0, -3)} if level is slowest else {}
        text = f"{name} {rate:.0f} GB/s"
        panel.annotate(text, (x[4], x[4] * rate), rotation=38, **(note | side))
    panel.axhline(peak * 1e-9, color="#888888", linewidth=1)
    text = f"multiply-adds {peak * 1e-9:.0f} GFLOP/s"
    panel.annotate(text, (x[-1], peak * 1e-9), ha="right", **note)
    for program in programs:
        if program["program"] not in PROGRAMS:
            continue
        label, marker = PROGRAMS[program["program"]]
        cases = [c for c in program["cases"] if c["flops"] > 1000 and c["bits"] == 32]
        panel.scatter(
            [c["flops"] / c["bytes"] for c in cases],
            [c["flops"] / c["seconds"] * 1e-9 for c in cases],
            s=12, marker=marker, alpha=0.6, label=f"{label}, float32", color=None,
        )  # fmt: skip
    panel.set(xscale="log", yscale="log", xlabel="operations a byte", ylabel="GFLOP/s",
              xlim=(x[0], x[-1]), ylim=(0.5, peak * 2e-9))  # fmt: skip
    panel.legend(fontsize=8, loc="lower right")
    panel.grid(alpha=0.2, which="both")
    panel.set_title("deepc on one thread, against the limits of the machine", fontsize=11)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
    return path
