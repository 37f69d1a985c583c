"""What the speed benchmarks compute and write, on times that are made up: nothing is timed here."""

import importlib
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def scripts():
    """Return a function that imports a script of the benchmarks, which find each other by name."""
    sys.path.insert(0, str(HERE))
    yield importlib.import_module
    sys.path.remove(str(HERE))


def lines_of(side_by_side, *, load_before=0.0, goal=1.2, kind="limit"):
    """Return the lines of a row whose rounds have the CPU ratios 2, 0.5 and 3, by the clock 1."""
    spent = side_by_side.Spent
    found = {
        "cnncli": [spent(4, 5, 100), spent(2, 6, 120), spent(9, 7, 110)],
        "bare": [spent(2, 5, 200), spent(4, 6, 220), spent(3, 7, 210)],
    }
    besides = {"bare": side_by_side.Beside(kind, goal)}
    return side_by_side.compare("export", found, besides, load_before)


def test_the_page_has_the_table_of_the_csv(scripts):
    page = scripts("speed_page")
    text = page.PAGE.read_text("utf-8")
    fresh = page.page_with(text, page.read_rows(page.CSV))
    assert text == fresh, "run: python tests/benchmarks/speed_page.py"


def test_every_row_has_its_script_and_every_line_its_row(scripts):
    speed, side_by_side = scripts("speed"), scripts("side_by_side")
    assert all((HERE / row.command[0]).exists() for row in speed.ROWS.values())
    lines = side_by_side.read_rows(speed.CSV)
    assert {line["row"].split(",")[0] for line in lines} <= set(speed.ROWS)
    assert all(tuple(line) == side_by_side.COLUMNS for line in lines)


def test_a_ratio_is_the_median_of_the_rounds_ratios(scripts):
    """The ratio of the medians would be 4 / 3."""
    side_by_side = scripts("side_by_side")
    (line,) = lines_of(side_by_side)
    assert (line["ratio_cpu"], line["ratio_clock"]) == ("2", "1")
    assert (line["our_cpu"], line["its_cpu"], line["our_mib"], line["its_mib"]) == (
        *("4", "3", "110", "210"),
    )


def test_the_clock_is_judged_on_a_quiet_machine_only(scripts):
    side_by_side = scripts("side_by_side")
    (quiet,), (busy,) = (lines_of(side_by_side, load_before=load) for load in (0.0, 1000.0))
    assert (quiet["judged_by"], side_by_side.judge(quiet)) == ("clock", "reached")
    assert (busy["judged_by"], side_by_side.judge(busy)) == ("cpu", "missed")
    assert side_by_side.judge(lines_of(side_by_side, goal=None)[0]) == ""


def test_a_row_measured_again_takes_the_place_of_the_old(scripts, tmp_path):
    side_by_side, path = scripts("side_by_side"), tmp_path / "rows.csv"
    (line,) = lines_of(side_by_side)
    other = {**line, "row": "to-accuracy"}
    side_by_side.write_rows(path, [line, other])
    side_by_side.write_rows(path, [{**line, "ratio_cpu": "7"}])
    assert side_by_side.read_rows(path) == [{**line, "ratio_cpu": "7"}, other]


def test_the_table_tells_a_stopped_peer_as_a_bound(scripts):
    page, side_by_side = scripts("speed_page"), scripts("side_by_side")
    text = page.table(lines_of(side_by_side, kind="peer, stopped"))
    assert (
        "| bare (peer, stopped) | 4 and 3 | 6 and 6 | 110 and 210 (0.52) | < 2.00 | < 1.00 |"
        in text
    )


def test_a_process_is_measured_and_its_failure_told(scripts):
    side_by_side = scripts("side_by_side")
    code = "import time; data = bytearray(200 << 20); time.process_time()"
    spent = side_by_side.measure([sys.executable, "-c", code])
    assert spent.mib > 200
    assert spent.cpu > 0
    with pytest.raises(SystemExit, match="no such thing"):
        side_by_side.measure([sys.executable, "-c", "raise ValueError('no such thing')"])


def test_a_missing_peer_is_told_in_one_line(scripts):
    with pytest.raises(SystemExit, match=r"^nosuchpeer not installed: pip install '\.\[bench\]'"):
        scripts("side_by_side").need("json", "nosuchpeer")


def test_all_tools_get_the_same_kept_images_of_every_class(scripts, tmp_path):
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(20):
            (tmp_path / "data" / name / f"{number}.png").touch()
    split = scripts("to_accuracy").split_folders
    for place in ("one", "two"):
        split(tmp_path / "data", tmp_path / place, seed=0)
    kept = [sorted((tmp_path / place / "val").rglob("*.png")) for place in ("one", "two")]
    assert [path.relative_to(tmp_path / "one") for path in kept[0]] == [
        path.relative_to(tmp_path / "two") for path in kept[1]
    ]
    assert [path.parent.name for path in kept[0]] == ["a"] * 3 + ["b"] * 3  # 15 % of 20
    trained = {path.name for path in (tmp_path / "one" / "train" / "a").iterdir()}
    assert len(trained) == 17
    assert not trained & {path.name for path in kept[0] if path.parent.name == "a"}


@pytest.mark.parametrize("header", ["epoch,accuracy", "epoch, accuracy"])
def test_accuracies_are_read_while_they_are_written(scripts, tmp_path, header):
    accuracies = scripts("to_accuracy").accuracies
    assert accuracies(tmp_path, "*/rows.csv", "accuracy") == []
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "rows.csv").write_text(f"{header}\n1,0.5\n2,0.75\n3")
    assert accuracies(tmp_path, "*/rows.csv", "accuracy") == [0.5, 0.75]
