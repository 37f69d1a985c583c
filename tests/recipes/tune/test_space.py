"""The YAML of ``tune``: what can be searched, and how a mistake is told."""

import pytest
import yaml

from cnncli.errors import CnncliError
from cnncli.recipes.tune.space import Choices, Range, load_search


def load(tmp_path, search, flags=None, **settings):
    path = tmp_path / "space.yaml"
    text = yaml.safe_dump({"data": "digits", **settings})
    text += f"search: {search}\n" if isinstance(search, str) else yaml.safe_dump({"search": search})
    path.write_text(text)
    return load_search(str(path), flags or {})


def test_a_space_is_read(tmp_path):
    search = load(
        tmp_path,
        "{lr: {low: 1e-4, high: 1e-2, log: true}, model: [cnn, lenet5], "
        "dropout: {low: 0, high: 0.5, step: 0.1}, batch_size: {low: 8, high: 64}}",
        trials=7,
        epochs=3,
    )
    assert search.space == {
        "lr": Range(1e-4, 1e-2, log=True),  # which PyYAML reads as the text "1e-4"
        "model": Choices(("cnn", "lenet5")),
        "dropout": Range(0, 0.5, step=0.1),
        "batch_size": Range(8, 64),
    }
    assert search.options == {"trials": 7}
    assert search.settings == {"data": "digits", "epochs": 3}
    assert [search.space[key].whole for key in ("lr", "dropout", "batch_size")] == [0, 0, 1]


def test_the_last_value_is_one_that_a_step_reaches(tmp_path):
    space = load(
        tmp_path,
        "{dropout: {low: 0, high: 0.35, step: 0.1}, batch_size: {low: 8, high: 33, step: 8}}",
    ).space
    assert space["dropout"].high == 0.3
    assert space["batch_size"].high == 32
    assert space["batch_size"].whole


def test_a_config_of_values(tmp_path):
    search = load(tmp_path, {"lr": [0.1, 0.2]}, {"epochs": 9}, epochs=3)
    config = search.config({"lr": 0.2})
    assert (config.data, config.epochs, config.lr) == ("digits", 9, 0.2)


def test_corners_hold_each_end_once(tmp_path):
    search = load(tmp_path, {"lr": {"low": 0.1, "high": 0.2}, "model": ["cnn", "lenet5", "vgg11"]})
    corners = [(config.lr, config.model) for config in search.corners()]
    assert corners == [
        *((0.1, "cnn"), (0.2, "cnn")),
        *((0.1, "cnn"), (0.1, "lenet5"), (0.1, "vgg11")),
    ]


WRONG = {
    "{lrr: [1]}": "search: lrr: unknown key; did you mean lr",
    "{seed: [1, 2]}": "search: seed: is the same in all trials; give it outside search",
    "{data: [a, b]}": "search: data: is the same in all trials",
    "{lr: 0.1}": "search: lr: write a list of values, or {low: …, high: …}",
    "{lr: []}": "search: lr: write a list of values",
    "{lr: [[0.1]]}": "search: lr: [0.1] is no plain value",
    "{lr: [0.1, 0.1]}": "search: lr: names a value twice",
    "{lr: {low: 0.1}}": "search: lr: high: missing",
    "{lr: {low: 0.1, hi: 1}}": "search: lr: hi: unknown",
    "{lr: {low: small, high: 1}}": "search: lr: low: 'small' is no number",
    "{lr: {low: 0.1, high: .inf}}": "search: lr: high: inf is no number",
    "{lr: {low: true, high: 2}}": "search: lr: low: True is no number",
    "{lr: {low: 0.2, high: 0.1}}": "search: lr: low 0.2 is not below high 0.1",
    "{lr: {low: 0, high: 1, log: true}}": "search: lr: log: low 0 must be above 0",
    "{lr: {low: 1, high: 2, log: maybe}}": "search: lr: log: 'maybe' is neither true nor false",
    "{lr: {low: 1, high: 2, log: true, step: 1}}": "search: lr: log and step: give one",
    "{lr: {low: 1, high: 2, step: 5}}": "search: lr: step 5 is not between",
    "{epochs: [1, 2]}": "search: epochs: is searched and has a fixed value too",
    "{batch_size: [1, 2]}": "search: batch_size: is searched and has --batch-size too",
    "[lr]": "search: missing",
    "": "search: missing",
    "{lrr: [1], seed: [1]}": "seed: is the same",  # all problems at once
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_told(tmp_path, text):
    with pytest.raises(CnncliError) as error:
        load(tmp_path, text, {"batch_size": 4}, epochs=3)
    assert WRONG[text] in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "space.yaml"))


@pytest.mark.parametrize(
    ("key", "value"), [("trials", 0), ("trials", "many"), ("storage", "file.db"), ("pruner", "x")]
)
def test_options_of_the_search_are_checked(tmp_path, key, value):
    with pytest.raises(CnncliError, match=f"{key}: {value!r} is not "):
        load(tmp_path, {"lr": [0.1]}, **{key: value})
