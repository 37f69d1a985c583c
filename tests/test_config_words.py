"""What an error says of a setting's value: our words, from flags and from YAML."""

import re

import pytest

from cnncli.config import RunConfig, check_settings
from cnncli.errors import CnncliError

# pydantic's words, and Python's.
FOREIGN = re.compile(r"[Ii]nput|valid (?!value)|parse|None|pydantic|type=|greater than")
HOSTILE = [
    *("abc", "", "1.5x", "-1", "1e400", -1, 1.5, 1e300, float("nan"), float("inf"), 10**20),
    *(None, True, [], [None], ["x"], [[1]], {}, {"a": 1}, [-1], "x" * 5000, "a\nb"),
]


@pytest.mark.parametrize("from_file", [False, True], ids=["flag", "yaml"])
@pytest.mark.parametrize("key", RunConfig.model_fields)
def test_a_refused_value_is_told_in_one_line_of_our_own(key, from_file):
    refused = 0
    for value in HOSTILE:
        given = {"data": "digits", key: value}
        file, flags = (given, {}) if from_file else ({}, given)
        try:
            check_settings(file, flags, path="c.yaml" if from_file else None)
        except CnncliError as error:
            text = str(error)
            refused += 1
            place = f"c.yaml: {key}" if from_file else f"--{key.replace('_', '-')}"
            assert text.startswith(place), text
            assert "\n" not in text
            assert len(text) < 700
            assert not FOREIGN.search(text), text
    assert refused


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"epochs": "abc"}, "epochs abc: must be a whole number from 1 to 2147483647"),
        ({"fold": -1}, "fold -1: must be a whole number of at least 0"),
        ({"seed": None}, "seed null: must be a whole number from 0 to 4294967295"),
        ({"lr": 0}, "lr 0: must be a number above 0 and at most 1e+30"),
        ({"lr": [1]}, "lr: must be a number above 0 and at most 1e+30"),
        ({"dropout": 1}, "dropout 1: must be a number of at least 0 and below 1"),
        ({"elastic_net": 2}, "elastic_net 2: must be a number from 0 to 1"),
        ({"compile": "maybe"}, "compile maybe: must be true or false"),
        ({"model": {}}, "model: must be a text"),
        ({"lr_milestones": {}}, "lr_milestones: must be a list, each item a whole number from 1"),
        ({"lr_milestones": [3, "x"]}, "lr_milestones x: must be a whole number from 1"),
        ({"bn": "frzen"}, "bn frzen: must be frozen or train; did you mean frozen?"),
        ({"batch_size": 0}, "batch_size 0: must be a whole number from 1 to 999999999, or auto"),
    ],
)
def test_the_words_say_what_would_be_right(settings, expected):
    with pytest.raises(CnncliError) as caught:
        check_settings({"data": "digits", **settings}, {}, path="c.yaml")
    assert str(caught.value).startswith(f"c.yaml: {expected}")


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("train", "--epochs", "abc"), "--epochs abc: must be a whole number"),
        (("train", "--lr", "x"), "--lr x: must be a number"),
        (("train", "--bn"), None),
        (("train", "--on-nan", "rolback"), "--on-nan rolback: must be error or rollback; did you"),
        (("predict", "x.png", "--top-k", "1.5"), "--top-k 1.5: must be a whole number"),
        (("conv-size", "28", "3", "--format", "xml"), "--format xml: must be table, csv, json or"),
        (("find-lr", "--steps", "19"), "--steps 19: must be a whole number of at least 20"),
        (("find-lr", "--steps", "x"), "--steps x: must be a whole number of at least 20"),
        (("compare", "x", "--sort", "best"), "--sort best: must be monitor or given"),
    ],
)
def test_a_flag_of_another_type_is_told_the_same_way(cli, args, expected):
    result = cli(*args)
    assert result.code == 2
    assert not FOREIGN.search(result.error)
    if expected is not None:
        assert result.error.startswith(expected)


def test_a_whole_number_may_be_written_with_a_point(cli):
    assert (
        "epochs: 5\n" in cli("train", "--data", "digits", "--epochs", "5.0", "--print-config").out
    )


def test_the_file_of_a_search_given_to_train_is_told(cli, tmp_path):
    path = tmp_path / "search.yaml"
    path.write_text("data: digits\ntrials: 3\nsearch: {lr: {low: 1e-4, high: 1e-2, log: true}}\n")
    for command in ("train", "finetune", "find-lr"):
        result = cli(command, "--config", path)
        assert result.code == 2
        assert f"cnncli tune --config {path} searches them" in result.error
