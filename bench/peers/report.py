"""Results as lines, as a summary, and as tables of a Markdown file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from peers.race import Result, is_ours

# The project's aims for a product called from Python: above this many floating-point operations
# never slower than the best peer, below it by no more than so many seconds.
SMALL_FLOPS = 20e3
SMALL_SECONDS = 0.4e-6


# ---- Lines ---------------------------------------------------------------------------------------


def line(result: Result) -> str:
    """Return one line about a result: our time, the best peer's, all others'."""
    row = result.as_json()
    text = f"  {row['case']:<52} "
    peers = sorted(row["least"], key=lambda name: (not is_ours(name), row["least"][name]))
    text += "  ".join(f"{name} {amount(row['least'][name], row)}" for name in peers)
    if row["ratio"]:
        text += f"  -> {row['ratio']:.2f} x"
    return text


def amount(value: float, row: dict[str, Any]) -> str:
    """Return a time or a size with its unit."""
    if row.get("unit") == "MB":
        return f"{value / 1e6:.1f} MB"
    for unit, factor in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= 0.9995 * factor:  # or it would be rounded to 1e+03 of the next one
            return f"{value / factor:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"


def is_behind(row: dict[str, Any]) -> bool:
    """Whether a peer is faster than we, by more than is allowed to the smallest products."""
    if not row["ratio"] or row["ratio"] >= 1:
        return False
    if row["group"] == "matmul, grid" and row["flops"] <= SMALL_FLOPS:
        return our_time(row) > row["least"][row["best_peer"]] + SMALL_SECONDS
    return True


def our_time(row: dict[str, Any]) -> float:
    """Return our least time, without what stands beside."""
    beside = row.get("beside", ())
    return min(v for name, v in row["least"].items() if is_ours(name) and name not in beside)


def summary(data: dict[str, Any]) -> str:
    """Say where a peer is faster, and what did not agree."""
    lines = []
    compared = [row for row in data["results"] if row["ratio"]]
    behind = sorted((row for row in compared if is_behind(row)), key=lambda row: row["ratio"])
    lines.append(f"{len(compared)} comparisons; a peer is faster in {len(behind)}:")
    lines += [
        f"  {row['ratio']:.2f} x  {row['group']}, {row['case']}: {amount(our_time(row), row)}, "
        f"{row['best_peer']} {amount(row['least'][row['best_peer']], row)}"
        for row in behind
    ]
    if data["disagreements"]:
        lines += ["left out, because they failed or gave something else:"]
        lines += [f"  {text}" for text in data["disagreements"]]
    return "\n".join(lines)


# ---- Tables --------------------------------------------------------------------------------------


def write_markdown(data: dict[str, Any], path: Path) -> None:
    """Write the tables between `<!-- begin NAME -->` and `<!-- end -->`, all if there are none."""
    tables = dict(_tables(data))
    text = path.read_text() if path.exists() else ""
    if "<!-- begin " not in text:
        text = "\n".join(f"<!-- begin {name} -->\n<!-- end -->\n" for name in tables)

    def replaced(match: re.Match[str]) -> str:
        name = match[1]
        body = tables.get(name)
        # A run of some groups leaves the others' tables as they are.
        return match[0] if body is None else f"<!-- begin {name} -->\n{body}\n<!-- end -->"

    path.write_text(
        re.sub(r"<!-- begin ([\w -]+) -->\n.*?<!-- end -->", replaced, text, flags=re.S)
    )


def _tables(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if data["results"]:
        yield "machine", _machine(data)
        yield "behind", _behind(data)
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in data["results"]:
        groups.setdefault(row["group"], []).append(row)
    special: dict[str, Callable[[dict[str, Any], list[dict[str, Any]]], str]] = {
        "matmul, grid": _grid, "matmul, square": _squares, "Keras programs": _keras_programs,
    }  # fmt: skip
    for group, rows in groups.items():
        name = re.sub(r"\W+", " ", group)
        yield name, special.get(group, _comparison)(data, rows)
    if found := [row for row in data["results"] if row["group"] in FIGURES]:
        yield "figures", _figures(found)
    for program in data["c"]:
        yield program["program"].replace("_", " "), _c_table(program)
        yield "bandwidth", _c_machine(program)
        if program["program"] == "bench_matmul":
            yield "bench matmul grid", _c_grid(program)


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table; columns but the first are aligned to the right."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _machine(data: dict[str, Any]) -> str:
    machine = data["machine"]
    versions = {"Python": machine["python"], **data["versions"]}
    peaks = ", ".join(
        f"{value * 1e-9:.0f} GFLOP/s ({name})" for name, value in data["peak"].items()
    )
    lines = [
        f"{machine['processor']}, {machine['cpus']} CPUs, {machine['system']}; {data['date']}.",
        f"Threads used: {data['threads']}.",
        f"Multiply-adds out of registers: {peaks or 'not measured'}.",
        f"deepc: {data['isa']}, {data['compiler']}.",
        ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
    ]
    if data.get("cpu"):
        lines.append("CPU time, because others used the machine meanwhile.")
    if data["quick"]:
        lines.append("**A quick run: these figures mean nothing.**")
    return "  \n".join(lines)


def _behind(data: dict[str, Any]) -> str:
    rows = sorted(filter(is_behind, data["results"]), key=lambda row: row["ratio"])
    if not rows:
        return "Nowhere in these runs."
    return table(
        ["work", "deepc", "best peer", "", "ratio"],
        [
            [
                f"{row['group']}: {row['case']}", amount(our_time(row), row), str(row["best_peer"]),
                amount(row["least"][row["best_peer"]], row), f"{row['ratio']:.2f}",
            ]
            for row in rows
        ],
    )  # fmt: skip


def _aims(row: dict[str, Any]) -> str:
    """What a row was to take, and to be ahead by."""
    aims = [amount(row["aim"], row)] if row.get("aim") else []
    return "; ".join(aims + ([row["aim_ratio"]] if row.get("aim_ratio") else []))


def _comparison(data: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """All peers side by side, and the ratio of the best of them to us."""
    names = list(dict.fromkeys(name for row in rows for name in row["least"]))
    names.sort(key=lambda name: not is_ours(name))
    aims = any(row.get("aim") or row.get("aim_ratio") for row in rows)
    ratios = any(row["ratio"] for row in rows)
    head = ["work", *names, *(["best peer / deepc"] if ratios else []), *(["aim"] if aims else [])]
    lines = []
    for row in rows:
        cells = [row["case"]]
        cells += [amount(row["least"][n], row) if n in row["least"] else "" for n in names]
        if ratios:
            cells.append(f"{row['ratio']:.2f}" if row["ratio"] else "")
        if aims:
            cells.append(_aims(row))
        lines.append(cells)
    return table(head, lines)


def _keras_programs(data: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """Times, and how many times as long as deepc those who do the same take.

    Keras is compared with deepc's face of it, everybody else with `fit`.
    """
    names = list(dict.fromkeys(name for row in rows for name in row["least"]))
    names.sort(key=lambda name: not is_ours(name))
    lines = []
    for row in rows:
        least, cells = row["least"], [row["case"]]
        first = next(iter(least.values()))
        for name in names:
            if name not in least:
                cells.append("")
                continue
            base = first if "Keras" in name else least.get("deepc, fit", first)
            times = least[name] / base
            ratio = f"{times:,.0f}" if times >= 100 else f"{times:.3g}"
            cells.append(amount(least[name], row) + (f" ({ratio} x)" if times != 1 else ""))
        cells.append(_aims(row))
        lines.append(cells)
    return table(["work", *names, "aim"], lines)


# The groups whose work is in the README's table, and what they are called there.
FIGURES = {
    "forward": "forward",
    "step of the chapter's loop": "training step, call by call",
    "step of an epoch call": "training step, inside an epoch call",
}


def _figures(rows: list[dict[str, Any]]) -> str:
    """The networks: our time and the best way of each peer."""
    peers = ("NumPy", "PyTorch", "JAX", "ONNX Runtime", "scikit-learn")
    lines = []
    for row in rows:
        cells = [f"{FIGURES[row['group']]}, {row['case']}", f"**{amount(our_time(row), row)}**"]
        for peer in peers:
            ways = [s for name, s in row["least"].items() if name.split(",")[0] == peer]
            cells.append(amount(min(ways), row) if ways else "")
        lines.append([*cells, f"{row['ratio']:.1f}" if row["ratio"] else ""])
    return table(["", "deepc", *peers, "best peer / deepc"], lines)


def _squares(data: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """GFLOP/s of all peers, and our share of the peak."""
    names = list(dict.fromkeys(name for row in rows for name in row["least"]))
    lines = []
    for row in rows:
        peak = data["peak"].get("f32" if row["dtype"] == "float32" else "f64")
        rates = {name: row["flops"] / seconds for name, seconds in row["least"].items()}
        cells = [row["case"], *(f"{rates[n] * 1e-9:.3g}" if n in rates else "" for n in names)]
        cells.append(f"{100 * rates['deepc'] / peak:.0f} %" if peak else "")
        lines.append([*cells, f"{row['ratio']:.2f}" if row["ratio"] else ""])
    return table(["GFLOP/s", *names, "deepc, of peak", "ratio"], lines)


def _grid(data: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """For each m: how often we are ahead, and where least."""
    lines = []
    for m in sorted({row["shape"][0] for row in rows}):
        mine = [row for row in rows if row["shape"][0] == m and row["ratio"]]
        for what, part in (
            ("above", [row for row in mine if row["flops"] > SMALL_FLOPS]),
            ("up to", [row for row in mine if row["flops"] <= SMALL_FLOPS]),
        ):
            if not part:
                continue
            ahead = [row for row in part if not is_behind(row)]
            ratios = sorted(row["ratio"] for row in part)
            worst = min(part, key=lambda row: row["ratio"])
            late = max(our_time(row) - row["least"][row["best_peer"]] for row in part)
            lines.append([
                f"{m}, {what} 20 kflop", f"{len(ahead)} of {len(part)}",
                f"{ratios[len(ratios) // 2]:.2f}", f"{ratios[0]:.2f}", worst["case"],
                str(worst["best_peer"]), f"{late * 1e6:.2f} µs",
            ])  # fmt: skip
    head = ["m", "aim reached", "median ratio", "least ratio", "where", "peer", "most behind"]
    return table(head, lines)


# What of the C programs' many cases is shown: the beginnings of their groups' titles.
SHOWN = {
    "bench_matmul": ("large", "square", "with bias", "the gradients", "a vector"),
    "bench_elementwise": ("f32, 10 ", "f32, 4096 ", "f32, 65536 ", "f32, 33554432 ", "f64, 4096 "),
    "bench_updates": ("f32, 10-25-4", "f32, 784-128-10", "f32, 16M", "f64, 784-128-10"),
}


def _c_table(program: dict[str, Any]) -> str:
    """Time, rate and share of the limit of the cases of a C program."""
    lines = []
    for case in program["cases"]:
        if not case["group"].startswith(SHOWN.get(program["program"], "")):
            continue
        seconds = case["seconds"]
        rates = (f"{case[w] / seconds * 1e-9:.1f}" if case[w] else "" for w in ("flops", "bytes"))
        share = f"{100 * case['limit'] / seconds:.0f} % of {case['limit_by']}"
        cells = [case["name"], amount(seconds, {}), amount(case["median"], {}), *rates]
        cells.append(share if case["limit"] else "")
        if program["threads"] > 1:
            cells.append(f"{case['one_thread'] / seconds:.2f}")
        lines.append(cells)
    head = ["case", "least", "median", "GFLOP/s", "GB/s", "limit"]
    return table(head + ["speed-up"] * (program["threads"] > 1), lines)


def _c_grid(program: dict[str, Any]) -> str:
    """For each group of the grid: the share of the limit of the products above 20 kflop."""
    lines = []
    for group in dict.fromkeys(case["group"] for case in program["cases"]):
        cases = [case for case in program["cases"] if case["group"] == group]
        cases = [case for case in cases if case["flops"] > SMALL_FLOPS]
        if "grid" not in group or not cases:
            continue
        shares = sorted(100 * case["limit"] / case["seconds"] for case in cases)
        worst = min(cases, key=lambda case: case["limit"] / case["seconds"])
        m = group.split("= ")[-1]
        least, median = (f"{shares[i]:.0f} %" for i in (0, len(shares) // 2))
        lines.append([m, str(len(cases)), median, least, worst["name"]])
    return table(["m", "products above 20 kflop", "median of the limit", "least", "where"], lines)


def _c_machine(program: dict[str, Any]) -> str:
    """The bandwidth of plain loops over memory."""
    kinds = ("read", "copy", "triad", "update")
    rows = [
        [level["name"], f"{level['footprint'] / 1024:,.0f}"]
        + [f"{level[kind] * 1e-9:.0f}" for kind in kinds]
        for level in program["levels"]
    ]
    return table(["GB/s", "KiB touched", *kinds], rows)
