"""The tables of the commands at 80 and 140 columns, as they were looked at.

``CNNCLI_WRITE_GOLDEN=1 pytest tests/shell/test_golden_tables.py`` writes them anew: look at the
difference before it is committed.
"""

import os
from pathlib import Path

import pytest
from PIL import Image
from rich.cells import cell_len
from written_run import write_run

from cnncli.errors import FINDINGS
from cnncli.reporting import TableLayout
from cnncli.shell.report_tables import _LAYOUT as EVALUATE
from cnncli.shell.terminal import TerminalReporter, print_rows

GOLDEN = Path(__file__).parent / "golden"
LONG = "ground-glass_opacity_with_consolidation_of_the_lower_left_lobe"
CHAIN = "conv7x7 f64 s2 p3 relu; pool3 s2 p1; conv3x5 f512 s2 p1 relu; flatten; dense 1000"


def make_images():
    """Write class folders, one of them with a long name, and an image that lies there twice."""
    for label in ("cat", "Katze 日本", LONG):
        folder = Path("photos") / label
        folder.mkdir(parents=True)
        for number in range(12):
            size = (8 + number, 9) if label == "cat" else (24 + number, 30)
            image = Image.new("L", size, number * 20)
            image.putpixel((0, 0), len(label))
            image.save(folder / f"img_{number:04}.bmp")
    (Path("photos") / "cat" / "img_0000_the_same_picture_under_another_name.bmp").write_bytes(
        (Path("photos") / "cat" / "img_0000.bmp").read_bytes()
    )


def make_runs():
    for number in range(4):
        folder = Path("runs") / f"2026-01-0{number + 1}_104526_mobilenet_v3_large"
        augment = ["rotate 10", "hflip", "vflip"][: number % 3]
        losses = [0.9, 0.5 + number / 8]
        write_run(folder, losses, lr=10.0**-number, model="mobilenet_v3_large", augment=augment)


def evaluate(cli):
    rows = [
        {"class_name": name, "images": 1234, "precision": 0.5, "recall": 1.0, "f1": 2 / 3}
        | {"auroc": None, "average_precision": 1e-4}
        for name in ("cat", LONG, "Katze 日本")
    ]
    print_rows(rows, list(rows[0]), "table", layout=EVALUATE)


def trials(cli):
    run = "runs/tune/study/trial_000{}/2026-01-01_104526_mobilenet_v3_large"
    rows = [
        {"trial": n, "state": "completed", "val_loss": 0.5 * n, "epoch": 7, "seconds": 9.5}
        | {"lr": 1e-4 * n, "optimizer": "adamw", "run": run.format(n)}
        for n in (1, 2)
    ]
    rows.append({"trial": 3, "state": "failed", "run": "the loss is not finite: take a lower lr"})
    layout = TableLayout(drop=("seconds", "epoch", "run"), keep=("val_loss",), words=("run",))
    TerminalReporter().table("study s", rows, layout)


TABLES = {
    "inspect-layers": ("inspect-layers", "resnet18", "--depth", 1),
    "inspect-layers-chain": ("inspect-layers", f"cnn:{CHAIN}", "--image-size", 224),
    "models": ("models", "*res*net*"),
    "augment-list": ("augment", "--list"),
    "conv-size": ("conv-size", 224, 7, 2, 3, "--in-channels", 3, "--filters", 512),
    "conv-size-chain": ("conv-size", 224, "--in-channels", 3, "--chain", CHAIN),
    "check-data": ("check-data", "photos"),
    "split": ("split", "photos"),
    "split-folds": ("split", "photos", "--folds", 9, "--output", "folds.csv"),
    "compare": ("compare", "runs", "--sort", "given"),
    "evaluate-classes": evaluate,
    "tune-trials": trials,
}


@pytest.mark.parametrize("columns", [80, 140])
@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_as_it_was_looked_at(name, columns, cli, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    command = TABLES[name]
    if callable(command):
        command(cli)
        out, err = capsys.readouterr()
    else:
        make_images()
        make_runs()
        form = () if command[0] == "split" else ("--format", "table")
        result = cli(*command, *form)
        assert result.code in (0, FINDINGS), result.err
        out, err = result.out, result.err
    shown = err if name.startswith(("split", "tune")) else out
    assert [line for line in out.splitlines() if cell_len(line) > columns] == []
    path = GOLDEN / f"{name}_{columns}.txt"
    if os.environ.get("CNNCLI_WRITE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown, encoding="utf-8")
    assert shown == path.read_text("utf-8")


@pytest.mark.parametrize("columns", [60, 80, 100, 140])
@pytest.mark.parametrize(
    "command",
    [
        ("runs", "--dir", "{runs}"),
        ("runs", "show", "last", "--dir", "{runs}"),
        ("predict", "{data}", "--checkpoint", "{run}", "--probabilities"),
        ("evaluate", "--checkpoint", "{run}"),
    ],
    ids=lambda command: command[0],
)
def test_no_line_is_wider_than_the_terminal(
    command, columns, cli, workspace, folder_data, monkeypatch
):
    monkeypatch.setenv("COLUMNS", str(columns))
    (run,) = (workspace / "runs").iterdir()
    places = {"runs": workspace / "runs", "run": run, "data": folder_data / "one"}
    result = cli(*(word.format(**places) for word in command), "--format", "table")
    assert result.code == 0, result.err
    assert result.out.count("\n") > 3
    if "show" not in command:  # it writes lines of name and value
        assert [line for line in result.out.splitlines() if cell_len(line) > columns] == []
