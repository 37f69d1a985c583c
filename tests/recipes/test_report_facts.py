"""What the page of a run says of its settings, and what --no-names leaves out."""

from pydantic import ValidationError

from cnncli.config import RunConfig
from cnncli.recipes.report.facts import hide_paths

PATH = "/home/jane/patients of ward 3.csv"
# Settings that take any text and are no paths: names of columns, classes, layers and devices.
NAMES = {"image_col", "label_col", "split_col", "group_col", "class_order", "monitor", "device"}
NAMES |= {"model", "freeze", "unfreeze_at"}


def takes_a_path(key):
    values = {"data": "digits", key: PATH}
    try:
        return PATH in str(getattr(RunConfig.model_validate(values), key))
    except (ValidationError, ValueError):
        return False


def test_no_setting_that_is_a_path_is_shown():
    """Of a new setting that takes any text it must be said whether it can be a path."""
    taking = {key for key in RunConfig.model_fields if takes_a_path(key)}
    assert {"data", "splits", "exclude", "weights", "output"} <= taking
    shown = hide_paths(dict.fromkeys(taking, PATH) | {"lr": 0.1, "group_regex": "ward_(.)"})
    assert {key for key, value in shown.items() if value == PATH} == NAMES
    assert shown["lr"] == 0.1
    assert shown["group_regex"] == shown["exclude"] == "(left out: --no-names)"
    assert hide_paths({"exclude": None}) == {"exclude": None}
