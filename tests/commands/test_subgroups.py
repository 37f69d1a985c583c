"""evaluate --subgroup, and internal figures beside external ones."""

import csv
import json
import shutil

import cv2
import numpy as np
import pytest
from helpers import train, write_digits
from sklearn.metrics import accuracy_score, balanced_accuracy_score, recall_score

from cnncli.shell.subgroup_tables import print_subgroups

CLASSES = ("zero", "one", "two")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Return a CSV of 90 digits with a sex, an age, a ward and a size of its own."""
    root = tmp_path_factory.mktemp("table")
    paths = write_digits(root / "images", per_class=30, names=CLASSES)
    generator = np.random.default_rng(0)
    with (root / "table.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "label", "split", "sex", "age", "ward", "size", "a,b"))
        for index, path in enumerate(paths):
            split = ("train", "val", "test", "test")[index % 4]
            age = "" if index % 11 == 0 else int(generator.integers(18, 90))
            row = path.relative_to(root), path.parent.name, split, "FM"[index // 4 % 2], age
            writer.writerow((*row, f"ward {index}", "large", index // 8 % 2))
    return root / "table.csv"


@pytest.fixture(scope="module")
def run(table, tmp_path_factory):
    return train(tmp_path_factory.mktemp("runs"), data=str(table), epochs=3, lr=0.01)


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def evaluate(cli, run, *args):
    result = cli("evaluate", "--checkpoint", run, *args)
    assert result.code == 0, result.err
    return json.loads(result.out), result.err


def test_each_part_has_the_figures_of_its_images(cli, run, table, tmp_path):
    report, _ = evaluate(cli, run, "--subgroup", "sex,age", "--output", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == report
    judged = {row["path"]: row for row in read(tmp_path / "out" / "predictions.csv")}
    rows = [row for row in read(table) if row["image"] in judged]
    by_sex, by_age = report["subgroups"]
    assert [part["value"] for part in by_sex["parts"]] == ["F", "M"]
    for part in by_sex["parts"]:
        mine = [judged[row["image"]] for row in rows if row["sex"] == part["value"]]
        true, said = ([row[key] for row in mine] for key in ("target", "label"))
        assert part["images"] == len(mine)
        assert part["accuracy"]["value"] == pytest.approx(accuracy_score(true, said))
        balanced = balanced_accuracy_score(true, said)
        assert part["balanced_accuracy"]["value"] == pytest.approx(balanced)
        assert part["small"] == (len(mine) < 30)
    assert by_age["bands"]
    assert [part["value"] for part in by_age["parts"]][-1] == "missing"
    assert sum(part["images"] for part in by_age["parts"]) == report["images"] == 44
    assert by_age["parts"][-1]["images"] == sum(row["age"] == "" for row in rows)
    gap = by_sex["largest_gap"]
    values = [part[gap["figure"]]["value"] for part in by_sex["parts"]]
    assert gap["value"] == pytest.approx(abs(values[0] - values[1]))


def test_a_column_wins_over_a_property_and_the_prefix_names_the_file(cli, run):
    report, _ = evaluate(cli, run, "--subgroup", 'size,file:size,format,brightness,"a,b"')
    parts = [(by["by"], by["of"], [p["value"] for p in by["parts"]]) for by in report["subgroups"]]
    assert parts[0] == ("size", "column", ["large"])
    assert parts[1] == ("size", "file", ["8×8"])
    assert parts[2] == ("format", "file", ["PNG"])
    assert len(parts[3][2]) == 4
    assert parts[4] == ("a,b", "column", ["0", "1"])


def test_how_light_an_image_is(cli, run, table, tmp_path):
    """Against the mean of the files: the network gets all of them, and no other levels."""
    report, _ = evaluate(cli, run, "--subgroup", "brightness=30", "--output", tmp_path)
    paths = [row["path"] for row in read(tmp_path / "predictions.csv")]
    means = [cv2.imread(str(table.parent / path), 0).mean() / 2.55 for path in paths]
    clear = [mean for mean in means if abs(mean - 30) > 1]  # they are resized, which rounds
    parts = {part["value"]: part["images"] for part in report["subgroups"][0]["parts"]}
    dark = sum(mean < 30 for mean in clear)
    assert dark <= parts["under 30 %"] <= dark + len(means) - len(clear)
    assert sum(parts.values()) == len(paths)


@pytest.mark.parametrize("columns", [80, 100, 140])
def test_the_table_on_a_terminal(cli, run, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    out = cli("evaluate", "--checkpoint", run, "--subgroup", "sex,age", "--format", "table").out
    shown = out[out.index("\nsex ") :]
    assert max(map(len, shown.splitlines())) <= columns
    words = " ".join(shown.split())
    assert "Largest gap by sex: balanced accuracy" in words
    assert "Fewer than 30 images, too few to say much: F, M." in words
    assert "Each of these is looked at alone; their combinations are not." in words


@pytest.mark.parametrize("columns", [40, 50, 60, 70, 80])
@pytest.mark.parametrize("figure", ["accuracy", "balanced_accuracy", "sensitivity"])
def test_the_figure_of_the_gap_stays_in_a_narrow_table(capsys, monkeypatch, columns, figure):
    monkeypatch.setenv("COLUMNS", str(columns))
    names = ("accuracy", "balanced_accuracy", "macro_f1", "auroc", "sensitivity", "specificity")
    interval = {"value": 0.75, "low": 0.55, "high": 0.875}
    counts = {"images": 50, "groups": 40, "small": False, "classes": 2}
    parts = [{"value": part, **counts} | dict.fromkeys(names, interval) for part in "FM"]
    gap = {"figure": figure, "lowest": "F", "highest": "M", "value": 0.0, "low": None}
    print_subgroups({"subgroups": [{"by": "sex", "parts": parts, "largest_gap": gap}]})
    header = capsys.readouterr().out.splitlines()[1]
    assert f"  {figure.replace('_', ' ')}  " in f"{header}  "


def test_a_positive_class_has_its_sensitivity_in_each_part(cli, run, table, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    flags = ("--positive", "one", "--threshold", "0.2", "--output", tmp_path / "out")
    report, _ = evaluate(cli, tmp_path / "run", "--subgroup", "sex", *flags)
    judged = {row["path"]: row for row in read(tmp_path / "out" / "predictions.csv")}
    (by,) = report["subgroups"]
    for part in by["parts"]:
        names = [row["image"] for row in read(table) if row["sex"] == part["value"]]
        mine = [judged[name] for name in names if name in judged]
        true, said = ([row[key] == "one" for row in mine] for key in ("target", "label"))
        assert part["sensitivity"]["value"] == pytest.approx(recall_score(true, said))
        negative = recall_score(true, said, pos_label=False)
        assert part["specificity"]["value"] == pytest.approx(negative)
    assert by["largest_gap"]["figure"] == "sensitivity"


MISTAKES = [
    ("agee", "--subgroup agee: {table} has no such column; it has image, label"),
    ("ward", "--subgroup ward: 44 different texts for 44 images, where at most 20 make"),
    ("sex=3/4", "--subgroup sex: holds texts, and no numbers to put into bands"),
    ("age=60/40", "--subgroup age=60/40: the ends of bands are ascending numbers"),
    ("file:sise", "--subgroup file:sise: must be one of file:format, file:size, file:brightness"),
    ("format=3", "--subgroup format=3: a format is no number"),
    ("age,age", "--subgroup age,age: 'age' is named twice"),
    ("", "--subgroup: a name is missing"),
    ('"a', '--subgroup "a: write the names with commas between them'),
]


@pytest.mark.parametrize(("given", "told"), MISTAKES)
def test_mistakes_are_one_line(cli, run, table, given, told):
    result = cli("evaluate", "--checkpoint", run, "--subgroup", given)
    assert result.code == 2
    assert f"Error: {told.format(table=table)}" in result.err.splitlines()[-1]


def test_a_folder_has_no_columns(cli, run_dir):
    result = cli("evaluate", "--checkpoint", run_dir, "--subgroup", "formatt")
    assert result.code == 2
    assert "is no CSV and has no columns; of its files there are format, size" in result.err
    assert result.err.endswith("did you mean format?\n")
    assert evaluate(cli, run_dir, "--subgroup", "format")[0]["subgroups"][0]["of"] == "file"


def test_other_columns_stay_out_of_a_normal_run(run, table):
    from cnncli.data.find_samples import find_samples
    from cnncli.data.samples import CsvColumns, select_samples

    assert find_samples(str(table)).extra == {}
    samples = find_samples(str(table), CsvColumns(extra=("sex", "format")))
    assert list(samples.extra) == ["sex"]
    assert select_samples(samples, np.array([4, 0])).extra["sex"].tolist() == ["M", "F"]


def test_images_from_elsewhere_stand_beside_the_runs_own(cli, run, tmp_path, monkeypatch):
    own = json.loads((run / "report.json").read_text())
    outside = tmp_path / "outside"
    for name, digit, count in (("zero", "0", 12), ("one", "1", 3)):
        write_digits(outside, classes=(digit,), per_class=count, names=(name,), start=100)
    report, said = evaluate(cli, run, outside)
    internal = report["internal"]
    assert (report["split"], internal["split"]) == ("new images", "test")
    assert (report["images"], internal["images"]) == (15, 44)
    for name in ("accuracy", "macro_f1", "auroc", "ece"):
        assert internal[name] == own[name]
    assert "external: no image of two: averages over classes are of the others" in said
    assert "class frequencies differ (one " in said
    assert "zero 32 % inside, 80 % outside): accuracy, precision and average" in said
    everything, _ = evaluate(cli, run, outside, "--split", "all")
    assert everything["internal"] == internal
    monkeypatch.setenv("COLUMNS", "80")
    out = cli("evaluate", outside, "--checkpoint", run, "--format", "table").out
    value = own["accuracy"]["value"]
    assert f"accuracy           {value:.2f} (" in out[out.index("The run's own figures") :]
    _, said = evaluate(cli, run, outside, "--tta", "flips")
    assert "the run's report was made with another tta than this one" in said


def test_the_runs_own_images_have_no_internal_figures(cli, run, table):
    assert "internal" not in evaluate(cli, run)[0]
    assert "internal" not in evaluate(cli, run, table, "--split", "val")[0]


def test_a_run_that_was_judged_on_val_has_none_to_show(cli, folder_data, tmp_path):
    own = train(tmp_path / "runs", data=str(folder_data), test_fraction=0)
    write_digits(tmp_path / "out", per_class=3, names=CLASSES, start=100)
    report, said = evaluate(cli, own, tmp_path / "out")
    assert "internal" not in report
    assert "no internal figures beside these: the run was judged on val (chosen on)" in said
