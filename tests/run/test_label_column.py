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
    with pytest.raises(CnncliError, match="each of its 24 images has a class of its own; a class"):
        gather_samples(RunConfig(data=str(table)), SilentReporter())
