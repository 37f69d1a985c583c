"""From a config to labelled images with their splits."""

import pytest
from helpers import write_digits

from cnncli.config import RunConfig
from cnncli.reporting import SilentReporter
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
