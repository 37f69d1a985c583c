"""What is made from a run at its end: it may fail, and the run must not."""

import time

import pytest
from helpers import Heard, train

from cnncli.config import RunConfig
from cnncli.errors import CnncliError
from cnncli.recipes.train import train_run
from cnncli.reporting import SilentReporter
from cnncli.run.afters import After, FinishedRun, finish_run, make_afters


def _after(make):
    return After("thing.bin", "cnncli thing {folder}", make)


def _raise(error):
    def make(run, reporter):
        raise error

    return make


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (CnncliError("the disk is full"), "thing.bin was not made: the disk is full; "),
        (ZeroDivisionError("by\nzero"), "thing.bin was not made (ZeroDivisionError: by); "),
    ],
)
def test_what_fails_is_one_warning_and_the_next_is_made(tmp_path, error, told):
    heard, made = Heard(), []
    afters = [_after(_raise(error)), _after(lambda run, reporter: made.append(run.folder))]
    make_afters(afters, FinishedRun(tmp_path, time.monotonic()), heard)
    assert heard.warnings == [f"{told}to make it: cnncli thing {tmp_path}"]
    assert made == [tmp_path]


def test_a_signal_ends_it_and_says_that_the_run_is_whole(tmp_path):
    heard = Heard()
    with pytest.raises(KeyboardInterrupt):
        make_afters([_after(_raise(KeyboardInterrupt()))], FinishedRun(tmp_path, 0.0), heard)
    (note,) = heard.notes
    assert note == (
        f"{tmp_path} is finished; thing.bin was not made; to make it: cnncli thing {tmp_path}"
    )


def test_a_signal_names_all_that_is_left(tmp_path):
    heard, made = Heard(), []
    first = After("first", "cnncli first {folder}", lambda run, reporter: made.append(1))
    rest = [
        _after(_raise(KeyboardInterrupt())),
        After("best.onnx", "cnncli export {folder}", lambda run, reporter: made.append(2)),
    ]
    with pytest.raises(KeyboardInterrupt):
        make_afters([first, *rest], FinishedRun(tmp_path, 0.0), heard)
    assert made == [1]
    assert heard.notes == [
        f"{tmp_path} is finished; thing.bin and best.onnx were not made; to make them: "
        f"cnncli thing {tmp_path} && cnncli export {tmp_path}"
    ]


def test_the_time_that_is_left_is_never_below_zero(tmp_path):
    now = time.monotonic()
    assert finish_run(tmp_path, now, None, None).left is None
    assert 3000 < finish_run(tmp_path, now, "1h", None).left <= 3600
    assert 1000 < finish_run(tmp_path, now, "1h", None, before=1800).left <= 1800
    assert finish_run(tmp_path, now, "1h", None, before=4000).left == 0
    assert finish_run(tmp_path, now, None, None, before=1800).seconds >= 1800


def test_a_run_makes_them_after_its_report_and_a_run_of_python_makes_none(tmp_path, folder_data):
    seen = []

    def look(run, reporter):
        seen.append((run.folder, sorted(path.name for path in run.folder.iterdir()), run.left))

    config = RunConfig(
        output=str(tmp_path), data=str(folder_data), model="lenet5", epochs=1, device="cpu"
    )
    folder = train_run(config, SilentReporter(), afters=[_after(look)])
    ((given, files, left),) = seen
    assert given == folder
    assert {"report.json", "best.safetensors", "curves.png"} <= set(files)
    assert "last.pt" not in files  # all else is safe on the disk
    assert left is None
    assert not list(train(tmp_path / "other", data=str(folder_data)).glob("thing*"))
