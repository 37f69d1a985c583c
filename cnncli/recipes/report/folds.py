"""What the page says of the folds of a cross-validation: their figures and their epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cnncli.files import OUT_OF_FOLD
from cnncli.page.chart import Chart
from cnncli.page.charts import learning_charts
from cnncli.page.folds import fold_charts, fold_table
from cnncli.recipes.report.material import Material
from cnncli.run.fold_figures import describe_folds, fold_rows


def list_folds_of(material: Material) -> Sequence[Mapping[str, str]]:
    """Return the figures of each fold, their mean and spread, as texts; empty for a run.

    They are of the images out of fold: a page on other images has none.

    Raises:
        CnncliError: If the report of a fold cannot be read.
    """
    report: Mapping[str, Any] = material.report or {}
    if not material.has_folds or OUT_OF_FOLD not in str(report.get("split", "")):
        return []
    return fold_table(fold_rows(describe_folds(material.record.path)))


def draw_learning(material: Material) -> list[Chart]:
    """Return the learning curves of a run, or those of all folds."""
    record = material.record
    if material.has_folds:
        return fold_charts([fold.epochs for fold in material.folds])
    return learning_charts(
        record.history,
        material.checkpoint.epoch or None,
        one_rate=all(record.settings.get(key) is None for key in ("lr_backbone", "layer_decay")),
    )
