"""What a command costs before its work begins, as a multiple of importing Typer and Rich alone.

Run it as ``python tests/benchmarks/startup.py [ROUNDS]``. Each round starts every command once,
and the bare import before each of them, so that whatever else the machine does meets both alike.
The CPU time of the process counts (user and system), not the clock's. For each command the median
of its ratios is printed; the exit code is 1 if any of them is above ``LIMIT``.
"""

import resource
import statistics
import subprocess
import sys

LIMIT = 1.6
BARE = ["-c", "import typer, rich.console"]
COMMANDS = [
    ["conv-size", "28", "3", "1", "0"],
    ["convolve", "1 2 3; 4 5 6; 7 8 9", "--kernel", "1 0; 0 -1", "--then", "relu", "--explain"],
    ["--help"],
    ["train", "--help"],
    ["models", "--format", "csv"],
    ["train", "--nosuch"],
]


def cpu_seconds(*args):
    """Run Python in a process of its own; return the CPU time that it took, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *args], capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    ratios = {" ".join(command): [] for command in COMMANDS}
    for _ in range(rounds):
        for command in COMMANDS:
            bare = cpu_seconds(*BARE)
            ratios[" ".join(command)].append(cpu_seconds("-m", "cnncli", *command) / bare)
    medians = {name: statistics.median(values) for name, values in ratios.items()}
    for name, ratio in medians.items():
        print(f"{ratio:.2f}  cnncli {name}" + ("  above the limit" if ratio > LIMIT else ""))
    return int(max(medians.values()) > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
