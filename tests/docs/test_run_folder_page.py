"""docs/run-folder.md: its files, columns and keys are those that a run writes, and no others."""

import csv
import json
import re

import pytest
from helpers import ROOT, train, write_digits
from safetensors import safe_open

from cnncli.config import RunConfig

PAGE = (ROOT / "docs" / "run-folder.md").read_text("utf-8")
# Written by libraries that the tests do not need; tests/training/test_logs.py has doubles of them.
OTHER_LOGS = {"mlflow.db", "mlflow_artifacts", "mlflow_run_id.txt", "wandb", "wandb_run_id.txt"}
CODE = re.compile(r"`([^`]+)`")


def section(title):
    """Return the text below a heading; an empty title returns the text before the first one."""
    parts = re.split(r"^## (.*)\n", PAGE, flags=re.M)
    return parts[0] if not title else parts[parts.index(title) + 1]


def rows_of(title):
    """Return the cells of a section's table, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def first_column(title):
    """Return the names in the first column of a section's table, in order."""
    return [name.rstrip("/") for row in rows_of(title) for name in CODE.findall(row[0])]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the folder of a run that writes all: it logs, leaves images out and has grades."""
    root = tmp_path_factory.mktemp("page")
    write_digits(root / "data", per_class=20)
    damaged = root / "data" / "0" / "damaged.png"
    damaged.write_bytes(b"no image")
    unwanted = write_digits(root / "data", per_class=1, start=20)[0]
    (root / "drop.txt").write_text(str(unwanted))
    options = {
        "exclude": str(root / "drop.txt"),
        "on_bad_image": "skip",
        "log": "tensorboard",
        "keep_every": 1,
    }
    options |= {"keep_state": True, "ordered": True}
    return train(root / "runs", data=str(root / "data"), **options)


def header_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file))


def test_the_table_of_files_is_what_a_run_writes(run):
    named = first_column("")
    assert len(named) == len(set(named))
    switched_off = {"best.onnx", "report.html"}  # in these tests; decision.json is evaluate's
    later = {"decision.json", "candidates.csv", *switched_off}  # of evaluate, of --model auto
    assert set(named) == {path.name for path in run.iterdir()} | OTHER_LOGS | later


def test_the_columns_of_metrics_csv(run):
    assert first_column("`metrics.csv`") == header_of(run / "metrics.csv")


def test_the_columns_of_splits_csv(run):
    (row,) = (row for row in rows_of("") if row[0] == "`splits.csv`")
    header = header_of(run / "splits.csv")
    assert CODE.findall(row[1]) == [",".join(header)]
    explained = {name for name in header if f"`{name}`" in section("`splits.csv`")}
    assert explained == {"path", "bytes", "hash"}  # the others are plain words


def test_the_keys_of_the_checkpoint(run):
    with safe_open(run / "best.safetensors", "np") as file:
        (entry,) = file.metadata().items()
    assert entry[0] == "cnncli"
    document = json.loads(entry[1])
    rows = {tuple(CODE.findall(row[0])): row[1] for row in rows_of("`best.safetensors`")}
    assert sorted(name for names in rows for name in names) == sorted(document)
    assert rows["format",].endswith(f"now {document['format']}")
    metrics = header_of(run / "metrics.csv")
    assert set(document["metrics"]) == set(metrics) - {"seconds", "images_per_second", "threads"}
    # Words in parentheses are the values that a key may have.
    keys = CODE.findall(re.sub(r"\([^)]*`[^)]*\)", "", rows["preprocess",]))
    assert sorted(keys) == sorted(document["preprocess"])


def test_the_keys_of_the_report(run, cli):
    report = json.loads((run / "report.json").read_text("utf-8"))
    listed, _, flags = section("`report.json`").partition("Top-level keys: ")[2].partition(";")
    assert CODE.findall(listed) == list(report)
    extra = [name for name in CODE.findall(flags.partition(".")[0]) if not name.startswith("-")]
    result = cli(
        *("evaluate", "--checkpoint", run, "--tta", "flips", "--precision", "fp32"),
        *("--device", "cpu", "--format", "json", "--on-bad-image", "skip"),
    )
    assert result.code == 0, result.err
    assert set(json.loads(result.out)) == {*report, *extra}
    intervals = {key for key, value in report.items() if isinstance(value, dict)}
    assert all(set(report[key]) == {"value", "low", "high"} for key in intervals)
    assert intervals  # `{"value": …, "low": …, "high": …}`


def test_the_config_has_every_setting(run):
    text = (run / "config.yaml").read_text("utf-8")
    names = set(re.findall(r"^(\w+):", text, re.M))
    assert names == set(RunConfig.model_fields), "the page promises every setting"
