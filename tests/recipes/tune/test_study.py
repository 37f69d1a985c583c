"""A study: what its trials must have in common."""

from cnncli.recipes.tune.study import _difference, _make_comparable


def test_settings_of_an_older_study_are_the_same_with_texts_as_numbers():
    old = {"image_size": 64, "class_order": [1, "b"], "lr": "1e-4", "data": 2024, "seed": None}
    new = {"image_size": "64", "class_order": ["1", "b"], "lr": 0.0001, "data": "2024"}
    assert _make_comparable(old) == _make_comparable({**new, "seed": None})
    assert _difference(old, {**new, "seed": 3}) == "seed: None, now 3"
    assert _make_comparable(old) != _make_comparable({**new, "image_size": "65", "seed": None})
