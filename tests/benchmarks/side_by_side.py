"""What the speed benchmarks share: commands that take turns, their medians, and rows of a CSV.

Each command runs in a process of its own. CPU seconds are user and system together, of the process
and of all that it started; the peak memory is that of its largest process. A ratio is the median of
the ratios of the rounds, ours over the other's, so that whatever else the machine does meets both.
"""

import csv
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

OURS = "cnncli"  # the way that is compared with all others
COLUMNS = (
    *("row", "beside", "kind", "goal", "judged_by", "ratio_cpu", "ratio_clock"),
    *("our_cpu", "its_cpu", "our_clock", "its_clock", "our_mib", "its_mib"),
    *("images", "rounds", "load", "conditions"),
)
# An installed package has its bytecode, and the first round writes it where there is none.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
VERSIONS = ("torch", "onnxruntime", "openvino", "timm", "fastai")


class Spent(NamedTuple):
    """What a process took: CPU seconds, seconds by the clock, and its peak memory in MiB.

    A memory of 0 has not been measured.
    """

    cpu: float
    clock: float
    mib: float


class Beside(NamedTuple):
    """Another way to do a row's work.

    Attributes:
        kind: ``limit`` is the bare work, which nothing can be much faster than; ``peer`` is another
            tool or the usual script; ``torch`` is cnncli with torch. ``peer, stopped`` is one that
            was stopped before it was done: the true ratio is smaller than the written one.
        goal: The largest ratio of our time to its time that reaches the goal, or None.
    """

    kind: str
    goal: float | None = None


def need(*modules, extra="bench"):
    """End with one line that says what to install, if a module is missing."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        sys.exit(f"{', '.join(missing)} not installed: pip install '.[{extra}]' in the clone")


def measure(command):
    """Run a command to its end; return what it took."""
    begin = time.monotonic()
    command = list(map(str, command))
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, env=ENVIRONMENT)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            sys.exit(f"{' '.join(command)}\n{said.read().decode(errors='replace')[-2000:]}")
    return Spent(used.ru_utime + used.ru_stime, time.monotonic() - begin, used.ru_maxrss / 1024)


def alternate(ways, rounds, *, warm=True, run=measure):
    """Run ways in turn, round by round.

    Args:
        ways: What each is called, and what ``run`` takes.
        rounds: How often each runs; one round more comes first and is not counted if ``warm``.
        run: Returns a ``Spent``.

    Returns:
        What each way took, one ``Spent`` per round.
    """
    found = {name: [] for name in ways}
    for number in range(-warm, rounds):
        for name, way in ways.items():
            spent = run(way)
            title = f"round {number + 1} of {rounds}" if number >= 0 else "to warm up"
            print(f"{title}: {name} {spent.cpu:.2f} s of CPU", file=sys.stderr)
            if number >= 0:
                found[name].append(spent)
    return found


def medians(found):
    """Return the median of each figure over the rounds."""
    return Spent(*map(statistics.median, zip(*found, strict=True)))


def ratio(ours, others, figure):
    """Return the median over the rounds of our figure over the other's of the same round."""
    pairs = zip(ours, others, strict=True)
    return statistics.median(getattr(a, figure) / getattr(b, figure) for a, b in pairs)


def load():
    """Return how many processes want a core, as a mean of the last minute; 0 where not known."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def conditions():
    """Return date, processor, cores, threads and versions in one line."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists() and (found := re.search(r"model name\s*:\s*(.+)", info.read_text("utf-8"))):
        name = found[1]
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count()
    packages = [f"{name} {version(name)}" for name in VERSIONS if find_spec(name)]
    threads = os.environ.get("OMP_NUM_THREADS")
    return "; ".join(
        [
            time.strftime("%Y-%m-%d"),
            name.strip(),
            f"{cores} cores",
            f"OMP_NUM_THREADS={threads}" if threads else "threads by default",
            ", ".join(packages),
        ]
    )


def compare(row, found, besides, load_before, images=None):
    """Return a row's lines of the CSV: one per way that ours is compared with.

    On a machine that was quiet before, the clock is judged; on a busy one the CPU seconds are,
    since the clock tells of the others.

    Args:
        row: The name of the row.
        found: What each way took, of ``alternate``; one is ``OURS``.
        besides: The others, a ``Beside`` each.
        load_before: The load when the row began.
        images: The number of images that each way goes through, for images per second.
    """
    ours = found[OURS]
    quiet = load_before < 0.3 * (os.cpu_count() or 1)
    lines = []
    for name, beside in besides.items():
        us, it = medians(ours), medians(found[name])
        figures = {
            "ratio_cpu": ratio(ours, found[name], "cpu"),
            "ratio_clock": ratio(ours, found[name], "clock"),
            **{f"our_{key}": value for key, value in us._asdict().items()},
            **{f"its_{key}": value for key, value in it._asdict().items()},
        }
        lines.append(
            {
                "row": row,
                "beside": name,
                "kind": beside.kind,
                "goal": "" if beside.goal is None else f"{beside.goal:.3g}",
                "judged_by": "clock" if quiet else "cpu",
                **{key: f"{value:.4g}" for key, value in figures.items()},
                "images": "" if images is None else str(images),
                "rounds": str(len(ours)),
                "load": f"{load_before:.1f}",
                "conditions": conditions(),
            }
        )
    return lines


def read_rows(path):
    """Return the lines of a CSV of measured rows."""
    if not Path(path).exists():
        return []
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path, lines):
    """Put lines into a CSV, in the place of those of the same row and way."""
    rows = {(line["row"], line["beside"]): line for line in [*read_rows(path), *lines]}
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows.values())


def judge(line):
    """Return ``reached``, ``missed``, or nothing where there is no goal."""
    if not line["goal"]:
        return ""
    reached = float(line[f"ratio_{line['judged_by']}"]) <= float(line["goal"])
    return "reached" if reached else "missed"


def print_table(lines):
    """Print a row's lines for a reader, and the conditions below them."""
    columns = ("Row", "Beside", "CPU, s", "Clock, s", "Peak, MiB", "Ratio, CPU", "clock", "Goal")
    print(f"| {' | '.join(columns)} |")
    print(f"| {' | '.join(['---'] * len(columns))} |")
    for line in lines:
        goal = f"at most {line['goal']}: {judge(line)}" if line["goal"] else ""
        figures = ("cpu", "clock", "mib")
        pairs = [f"{line['our_' + key]} and {line['its_' + key]}" for key in figures]
        cells = [line["row"], line["beside"], *pairs, line["ratio_cpu"], line["ratio_clock"], goal]
        print("| " + " | ".join(cells) + " |", flush=True)
    for text in sorted({f"{line['conditions']}; load {line['load']}" for line in lines}):
        print(text)


def add_flags(parser, rounds):
    """Add the flags that every script of speed has."""
    parser.add_argument(
        "--rounds", type=int, default=rounds, help=f"how often each way runs [{rounds}]"
    )
    parser.add_argument("--device", default="cpu", help="device that computes, such as cuda [cpu]")
    parser.add_argument("--csv", type=Path, help="file of measured rows to put the row into")


def finish(given, row, found, besides, load_before, images=None):
    """Print a row, and put it into the CSV that the flags name."""
    name = row if given.device == "cpu" else f"{row}, {given.device}"
    lines = compare(name, found, besides, load_before, images)
    print_table(lines)
    if given.csv:
        write_rows(given.csv, lines)
