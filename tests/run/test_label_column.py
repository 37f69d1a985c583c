"""A column of ids is no column of labels."""

import pytest
from helpers import write_digits

from cnncli.config import RunConfig
from cnncli.errors import CnncliError
from cnncli.reporting import SilentReporter
from cnncli.run.samples import gather_samples


def test_a_class_for_every_image_is_an_error(tmp_path):
    paths = write_digits(tmp_path / "d", per_class=8)
    rows = [f"{path.relative_to(tmp_path)},id{number}" for number, path in enumerate(paths)]
    table = tmp_path / "t.csv"
    table.write_text("\n".join(["image,label", *rows]))
    with pytest.raises(CnncliError, match="each of the 24 images has a class of its own; a class"):
        gather_samples(RunConfig(data=str(table)), SilentReporter())


def test_a_class_for_nearly_every_image_is_an_error_too(tmp_path):
    paths = write_digits(tmp_path / "d", per_class=8)
    rows = [f"{path.relative_to(tmp_path)},id{max(1, n)}" for n, path in enumerate(paths)]
    (tmp_path / "t.csv").write_text("\n".join(["image,label", *rows]))
    with pytest.raises(CnncliError, match="22 of the 24 images have a class of their own; a class"):
        gather_samples(RunConfig(data=str(tmp_path / "t.csv")), SilentReporter())
