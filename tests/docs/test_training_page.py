"""docs/training.md: its tables are those of the code."""

import re
from typing import get_args

import pytest
from helpers import ROOT

from cnncli.choices import LogName, LossName, SchedulerName
from cnncli.training.optimizers.build import OPTIMIZERS

PAGE = (ROOT / "docs" / "training.md").read_text("utf-8")


def rows_of(title):
    """Return the cells of a section's first table, without its head."""
    section = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)[1]
    lines = [line for line in section.splitlines() if line.startswith("| ")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_table_of_optimizers_is_theirs():
    rows = rows_of("Optimizers")
    assert [row[0] for row in rows] == [f"`{name}`" for name in OPTIMIZERS]
    for (_, factor, decay, kind), entry in zip(rows, OPTIMIZERS.values(), strict=True):
        assert float(factor) == pytest.approx(entry.lr_factor, rel=1e-2)
        assert float(decay) == entry.weight_decay
        # 5e-4 for the coupled kind, as told at the top of build.py
        assert kind.split(",")[0] == ("coupled" if entry.weight_decay == 5e-4 else "decoupled")


@pytest.mark.parametrize(
    ("title", "names"), [("Schedulers", SchedulerName), ("Losses", LossName), ("Logs", LogName)]
)
def test_every_name_stands_in_its_table(title, names):
    assert {row[0].strip("`") for row in rows_of(title)} == set(get_args(names))
