"""From a config to labelled images with their splits."""

import pytest
from helpers import Heard, write_digits

from cnncli.config import RunConfig
from cnncli.reporting import SilentReporter
from cnncli.run.plan_folds import plan_folds
from cnncli.run.samples import gather_samples


@pytest.mark.parametrize("fractions", [{}, {"val_fraction": 0.3, "test_fraction": 0.2}])
def test_another_order_of_the_classes_draws_the_same_splits(tmp_path, fractions):
    data = tmp_path / "data"
    write_digits(data, classes=("0", "1", "2"), per_class=12)

    def draw(order):
        config = RunConfig(data=str(data), class_order=order, **fractions)
        samples, splits = gather_samples(config, SilentReporter())
        assert samples.class_names == tuple(order or ("0", "1", "2"))
        labels = [samples.class_names[target] for target in samples.targets]
        return dict(zip(samples.paths, zip(labels, splits.tolist(), strict=True), strict=True))

    assert draw(["2", "0", "1"]) == draw(None)


def unused(config, gather=gather_samples):
    heard = Heard()
    gather(config, heard)
    return [text for text in heard.warnings if "no effect" in text]


def test_fractions_that_a_file_of_splits_leaves_nothing_to_do_are_told(cli, tmp_path):
    data, file, folds = (str(tmp_path / name) for name in ("data", "s.csv", "f.csv"))
    write_digits(data, classes=("0", "1"), per_class=20)
    assert cli("split", data, "--output", file, "--test-fraction", "0.2").code == 0
    assert cli("split", data, "--output", folds, "--folds", "3").code == 0
    assert unused(RunConfig(data=data, test_fraction=0.3)) == []
    assert unused(RunConfig(data=data, splits=file)) == []
    both = {"test_fraction": 0.3, "val_fraction": 0.25}
    assert unused(RunConfig(data=data, splits=file, **both)) == [
        "--test-fraction 0.3 and --val-fraction 0.25: no effect, since --splits "
        f"{file} fixes the splits"
    ]
    told = f"--test-fraction 0.3: no effect, since --splits {folds} fixes the splits"
    config = RunConfig(data=data, splits=folds, **both)
    assert unused(config, lambda c, reporter: plan_folds(c, None, reporter)) == [told]
    config = RunConfig(data=data, splits=folds, test_fraction=0.0, val_fraction=0.25)
    assert unused(config, lambda c, reporter: plan_folds(c, None, reporter)) == []


def test_fractions_that_the_data_leave_nothing_to_do_are_told(tmp_path):
    write_digits(tmp_path / "train", classes=("0", "1"), per_class=20)
    write_digits(tmp_path / "test", classes=("0", "1"), per_class=5, start=20)
    data = str(tmp_path)
    assert unused(RunConfig(data=data, val_fraction=0.3)) == []  # val is drawn from train
    told = "--test-fraction 0.3: no effect, since the data fix the splits"
    assert unused(RunConfig(data=data, val_fraction=0.3, test_fraction=0.3)) == [told]
    write_digits(tmp_path / "val", classes=("0", "1"), per_class=5, start=25)
    told = "--val-fraction 0.3: no effect, since the data fix the splits"
    assert unused(RunConfig(data=data, val_fraction=0.3)) == [told]
