"""Make the table and the picture of docs/benchmarks.md from docs/speed.csv.

    python tests/benchmarks/speed_page.py

``test_speed.py`` fails when the table in the page is not that of the CSV.
"""

from side_by_side import judge, read_rows
from speed import CSV, ROWS

PAGE = CSV.with_name("benchmarks.md")
PICTURE = CSV.with_name("images") / "speed.png"
BEGIN = "<!-- speed: written by tests/benchmarks/speed_page.py from speed.csv -->"
END = "<!-- speed end -->"
# Okabe and Ito; the markers differ too.
MARKS = {"reached": ("#0072B2", "o"), "missed": ("#D55E00", "D"), "": ("#555555", "s")}


def title_of(row):
    """Return a row's title: that of ``ROWS``, and the device where it is not the CPU."""
    name, _, device = row.partition(", ")
    return ROWS[name].title + (f", {device}" if device else "")


def order(lines):
    """Return the lines of the CSV in the order of ``ROWS``."""
    names = list(ROWS)
    return sorted(lines, key=lambda line: (names.index(line["row"].split(",")[0]), line["row"]))


def number(text):
    """Return a figure of the CSV with three digits."""
    value = float(text)
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def pair(line, key):
    """Return our figure and the other's."""
    if not float(line[f"our_{key}"]):
        return "not measured"
    text = f"{number(line[f'our_{key}'])} and {number(line[f'its_{key}'])}"
    if key == line["judged_by"] and line["images"]:
        spent = (float(line[f"{whose}_{key}"]) for whose in ("our", "its"))
        speeds = (f"{int(line['images']) / seconds:,.0f}" for seconds in spent)
        text += f" ({' and '.join(speeds)} images/s)"
    if key == "mib":
        text += f" ({float(line['our_mib']) / float(line['its_mib']):.2f})"
    return text


def goal_of(line):
    """Return the goal of a line, and whether it was reached."""
    by = {"cpu": "CPU", "clock": "clock"}[line["judged_by"]]
    return f"{by} ≤ {line['goal']}: {judge(line)}" if line["goal"] else ""


def ratio_of(line, figure):
    """Return a ratio; of a peer that was stopped it is an upper bound."""
    return ("< " if "stopped" in line["kind"] else "") + f"{float(line['ratio_' + figure]):.2f}"


def table(lines):
    """Return the table of the page and what it was measured on, as Markdown."""
    columns = ("Row", "cnncli beside", "CPU, s", "Clock, s", "Peak memory, MiB")
    columns += ("Ratio, CPU", "Ratio, clock", "Goal")
    text = [
        f"| {' | '.join(columns)} |",
        f"| --- | --- |{' ---: |' * (len(columns) - 3)} --- |",
    ]
    for line in order(lines):
        cells = [
            f"`{line['row']}`: {title_of(line['row'])}",
            f"{line['beside']} ({line['kind']})",
            *(pair(line, key) for key in ("cpu", "clock", "mib")),
            *(ratio_of(line, figure) for figure in ("cpu", "clock")),
            goal_of(line),
        ]
        text.append(f"| {' | '.join(cells)} |")
    text.append("")
    places = {}
    for line in order(lines):
        names = places.setdefault(line["conditions"], [])
        name = f"`{line['row']}` (load {line['load']})"
        if name not in names:
            names.append(name)
    text += [f"- {', '.join(names)}: {place}" for place, names in places.items()]
    return "\n".join(text)


def page_with(page, lines):
    """Return the page with another table."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table(lines)}\n\n{END}{rest.split(END)[1]}"


def draw(lines, path):
    """Draw the ratios with their goals."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.lines import Line2D

    lines = order(lines)[::-1]
    figure, axes = pyplot.subplots(figsize=(8, 1.5 + 0.42 * len(lines)), layout="constrained")
    for place, line in enumerate(lines):
        by, goal = line["judged_by"], line["goal"]
        value, (colour, marker) = float(line[f"ratio_{by}"]), MARKS[judge(line)]
        axes.plot([1, value], [place, place], color="#bbbbbb", linewidth=2, zorder=1)
        axes.plot(value, place, marker, color=colour, markersize=9, zorder=3)
        axes.annotate(
            ratio_of(line, by),
            (value, place),
            xytext=(12 if value >= 1 else -12, 0),
            textcoords="offset points",
            ha="left" if value >= 1 else "right",
            va="center",
        )
        if goal:
            axes.plot([float(goal)] * 2, [place - 0.38, place + 0.38], color="black", linewidth=2)
    axes.axvline(1, color="#555555", linewidth=1, zorder=0)
    axes.set_xscale("log")
    values = [1.0]
    for line in lines:
        values += [float(line[f"ratio_{line['judged_by']}"]), float(line["goal"] or 1)]
    axes.set_xlim(min(values) / 1.9, max(values) * 1.9)
    ticks = [tick for tick in (0.05, 0.1, 0.2, 0.5, 1, 2, 5) if axes.get_xlim()[0] < tick]
    ticks = [tick for tick in ticks if tick < axes.get_xlim()[1]]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(-0.7, len(lines) - 0.3)
    axes.set_yticks(range(len(lines)), [f"{line['row']}\n{line['beside']}" for line in lines])
    axes.set_xlabel("time of cnncli / time of the other (left of 1: cnncli is faster)")
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=label or "no goal")
        for label, (colour, marker) in MARKS.items()
    ]
    handles.append(
        Line2D([], [], color="black", marker="|", markersize=12, linestyle="", label="goal")
    )
    figure.legend(handles=handles, loc="outside upper center", ncols=4, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def main():
    lines = read_rows(CSV)
    PAGE.write_text(page_with(PAGE.read_text("utf-8"), lines), "utf-8")
    draw(lines, PICTURE)


if __name__ == "__main__":
    main()
