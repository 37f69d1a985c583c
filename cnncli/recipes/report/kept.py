"""The probabilities that a run keeps in ``predictions.csv``, where its images are not judged."""

from __future__ import annotations

from dataclasses import replace

from cnncli.errors import CnncliError
from cnncli.files import DECISION_FILE, PREDICTIONS_FILE, REPORT_FILE
from cnncli.recipes.report.answers import Answers, as_answers, find_groups
from cnncli.recipes.report.material import Material
from cnncli.run.other_ways import WAYS
from cnncli.run.predictions import read_predictions
from cnncli.run.report import Report


def read_kept(found: Material) -> Answers | None:
    """Return what the run's ``predictions.csv`` says, if it is of the images of its report.

    The page needs the network's own probabilities in float32: others are left aside.
    """
    how = tell_how(found.record.report)
    if how:
        found.missing.append(f"{PREDICTIONS_FILE}: written with {how}; left aside")
        return None
    try:
        read = read_predictions(found.record.path / PREDICTIONS_FILE)
        kept = None if read is None else as_answers(read)
    except CnncliError as error:
        found.missing.append(str(error))
        return None
    if kept is None or found.record.report is None:
        return None
    groups = find_groups(kept.paths, found.splits)
    kept = replace(kept, split=found.record.report["split"], groups=groups)
    if kept.matrix != found.record.report.get("confusion_matrix"):
        found.missing.append(f"{PREDICTIONS_FILE}: not of the images of {REPORT_FILE}; left aside")
        return None
    return kept


def tell_how(report: Report | None) -> str:
    """Return how ``evaluate`` changed the network's own answers before it wrote a report."""
    words = {"decision": DECISION_FILE, "tta": "--tta", "precision": "--precision"}
    return " and ".join(words[name] for name in WAYS if (report or {}).get(name) is not None)
