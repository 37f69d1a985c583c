"""The notation of --augment: what is read, what is written back, what is refused."""

import re

import pytest
import yaml
from helpers import ROOT, load_generator
from hypothesis import given, settings
from hypothesis import strategies as st

from cnncli.augmentation.notation import (
    format_step,
    list_classes,
    list_mirrors,
    parse_augment,
    parse_tta,
)
from cnncli.augmentation.words import LEVELS, RANGES, WORDS
from cnncli.config import RunConfig, dump_config, load_config
from cnncli.errors import CnncliError
from cnncli.yaml_text import parse_yaml


def refusal(value):
    with pytest.raises(CnncliError) as caught:
        parse_augment(value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_text_becomes_steps_with_all_their_arguments():
    steps = parse_augment(
        "hflip; rotate 10 p=1\n affine scale=0.8:1.2 shear=16; ;GaussNoise std_range=0.02:0.08"
    )
    assert steps == [
        {"hflip": {"p": 0.5}},
        {"rotate": {"angle": [-10, 10], "border": "reflect", "p": 1}},
        {
            "affine": {
                "translate": [0, 0],
                "scale": [0.8, 1.2],
                "rotate": [0, 0],
                "shear": [-16, 16],
                "aspect": "keep",
                "border": "reflect",
                "p": 0.5,
            }
        },
        {"GaussNoise": {"std_range": [0.02, 0.08]}},
    ]


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("rotate 5", "angle", [-5, 5]),  # signed: both ways
        ("rotate -5:20", "angle", [-5, 20]),
        ("rotate angle=5", "angle", [-5, 5]),
        ("scale 0.2", "factor", [0.8, 1.2]),  # factor: 1 ± 0.2
        ("scale 2:3", "factor", [2, 3]),
        ("crop .5", "area", [0.5, 1]),  # share: up to all of it
        ("noise 5e-2", "std", [0.05, 0.05]),  # exact
        ("dropout holes=3", "holes", [3, 3]),
        ("clahe tiles=4", "tiles", 4),
        ("saturation 0.9", "factor", [0.1, 1.9]),
    ],
)
def test_what_a_number_alone_means(text, name, value):
    ((_, arguments),) = parse_augment(text)[0].items()
    assert arguments[name] == value


def test_levels_stand_for_their_steps_and_mix_with_others():
    light, clahe = parse_augment("light"), parse_augment("clahe 2")
    assert [*(name for step in light for name in step)] == [
        "translate",
        "affine",
        "brightness_contrast",
    ]
    assert parse_augment(" light;clahe 2 ") == [*light, *clahe]
    assert parse_augment(["light", {"clahe": 2}]) == [*light, *clahe]
    assert parse_augment("none") == "none"


def test_levels_that_never_mirror():
    found = {name: list_mirrors(parse_augment(name)) for name in LEVELS}
    assert found == {"light": "", "medium": "h", "strong": "hv", "medical": ""}
    assert list_mirrors(parse_augment("HorizontalFlip; VerticalFlip p=0.1")) == "hv"
    assert list_mirrors(parse_augment("rot90")) == "v"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x=3", 3),
        ("x=-0.5", -0.5),
        ("x=0.1:0.2", [0.1, 0.2]),
        ("x=(3, 7)", [3, 7]),
        ("x=[1, [2, 'a b']]", [1, [2, "a b"]]),
        ("x={'a': (1, 2)}", {"a": [1, 2]}),
        ("x=reflect", "reflect"),
        ("x='two words; even so'", "two words; even so"),
        ("x=true", True),
        ("x=None", None),
        ("x='7'", 7),
    ],
)
def test_arguments_of_classes_are_literals(text, value):
    assert parse_augment(f"A.Blur {text}; hflip")[0] == {"Blur": {"x": value}}


@pytest.mark.parametrize(
    "value",
    ["__import__('os').system('id')", "open('/etc/passwd')", "(lambda: 1)()", "[x for x in 'a']"],
)
def test_arguments_are_never_code(value):
    assert "never code" in refusal(f"Blur x={value}")
    assert "never code" in refusal([{"Blur": {"x": value}}])


YAML = """
- hflip
- rotate: 5:30            # a range, not five and a half hours
- scale: 0.8:1.2
- crop: [0.5, 0.9]
- translate: {amount: 1e-1, p: 1}
- noise 0.05 p=0.2
- GaussNoise: {std_range: [0.02, 0.08], p: 0.2, per_channel: false}
- clahe:
"""


def test_a_yaml_file(tmp_path):
    path = tmp_path / "길.YAML"
    path.write_text(YAML, encoding="utf-8")
    assert parse_augment(str(path)) == parse_augment(
        "hflip; rotate 5:30; scale 0.8:1.2; crop 0.5:0.9; translate 0.1 p=1; noise 0.05 p=0.2; "
        "GaussNoise std_range=0.02:0.08 p=0.2 per_channel=False; clahe"
    )
    path.write_text("medium\n", encoding="utf-8")
    assert parse_augment(str(path)) == parse_augment("medium")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hflip: {p: 1}\nrotate: 3", "no list of steps"),
        ("", "no list of steps"),
        ("other.yaml", "no list of steps"),
        ("- [hflip]", "step 1"),
        ("- {hflip: , rotate: 3}", "not one step"),
        ("- rotate: {angle: !!python/object/apply:os.system [id]}", "has no meaning"),
        ("- rotate: [", "not YAML"),
        ("- rotate: 2026-01-01", "a number or a range"),
        ("[]", "holds no step"),
    ],
)
def test_yaml_files_that_are_none(tmp_path, text, words):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    assert words in refusal(str(path))


def test_files_that_cannot_be_read(tmp_path):
    assert "No such file" in refusal(str(tmp_path / "nosuch.yaml"))
    (tmp_path / "latin.yml").write_bytes(b"- hflip # caf\xe9")
    assert "not YAML" in refusal(str(tmp_path / "latin.yml"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hflp", "step 1 'hflp': unknown word 'hflp'; did you mean hflip"),
        ("hflip; rotat 10", "step 2 'rotat 10': unknown word 'rotat'; did you mean rotate"),
        ("quux", "cnncli augment --list"),
        ("ligth", "did you mean light"),
        ("rotate 10 20", "the main number is given twice"),
        ("rotate 10 angle=20", "angle is given twice"),
        ("rotate p=1 p=1", "p is given twice"),
        ("rotate angel=3", "unknown argument 'angel'; did you mean angle"),
        ("rotate q=3", "it takes angle, border, p"),
        ("rotate fast", "angle fast: must be a number or a range A:B"),
        ("rotate nan", "must be a number"),
        ("rotate 1e999", "must be a number"),
        ("rotate 200", "angle 200: must lie from -180 to 180 (degrees)"),
        ("rotate -5", "a number alone is both ways"),
        ("rotate 5:1", "the range is empty"),
        ("rotate 1:2:3", "a range has two ends"),
        ("scale 1.2", "0.2 for 0.8:1.2"),
        ("rotate p=1.5", "p 1.5: must lie from 0 to 1"),
        ("rotate p=0:1", "p 0:1: must be a number"),
        ("rotate border=blue", "border blue: must be one of reflect, edge, black"),
        ("clahe tiles=2.5", "whole number"),
        ("dropout holes=1:2.5", "whole number"),
        ("hflip 0.5", "it takes no number, only p=PROBABILITY"),
        ("affine 10", "what is it?"),
        ("affine", "at least one of rotate, scale, shear, translate"),
        ("affine p=1", "at least one of"),
        ("light 3", "the level light takes no arguments"),
        ("hflip; none", "none stands alone"),
        ("", "holds no step"),
        (" ; \n", "holds no step"),
        ("GaussNoise 3", "name=value"),
        ("os.system", "unknown word"),
    ],
)
def test_bad_steps_are_told_with_their_place(text, words):
    assert words in refusal(text)


@pytest.mark.parametrize("value", [3, {"hflip": {}}, [3], [{}], [{"a": 1, "b": 2}], [None], [[]]])
def test_values_that_are_no_steps(value):
    assert refusal(value)


def numbers(argument):
    whole = argument.whole or argument.kind == "count"
    low, high = argument.low, argument.high
    return st.integers(int(low), int(high)) if whole else st.floats(low, high)


def values(argument):
    if argument.kind == "choice":
        return st.sampled_from(argument.choices)
    if argument.kind in RANGES:
        return st.lists(numbers(argument), min_size=2, max_size=2).map(sorted)
    return numbers(argument)


def steps_of(name):
    arguments = {a.name: values(a) for a in WORDS[name].all_arguments}
    return st.fixed_dictionaries(arguments).map(lambda found: {name: found})


LITERALS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("C", "Zl", "Zp"), exclude_characters="()[]{}")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab_", max_size=3), inner),
    max_leaves=5,
)  # fmt: skip
CLASSES = st.fixed_dictionaries(
    {"Blur": st.dictionaries(st.from_regex("[a-z_]{1,8}", fullmatch=True), LITERALS)}
)
PIPELINES = st.lists(st.sampled_from(list(WORDS)).flatmap(steps_of) | CLASSES, min_size=1)


@settings(max_examples=50, deadline=None)
@given(PIPELINES)
def test_what_is_read_reads_back_to_the_same(steps):
    read = parse_augment(steps)  # a class's texts may be numbers
    assert parse_augment(read) == read
    assert parse_augment("; ".join(map(format_step, read))) == read
    assert parse_yaml(yaml.safe_dump(read, allow_unicode=True)) == read
    words = [step for step in read if not list_classes([step])]
    if words:
        assert parse_augment("; ".join(format_step(w, defaults=False) for w in words)) == words


@settings(max_examples=200, deadline=None)
@given(st.text() | st.text("hflip rotate=10:;'\"()[]\\ \n"))
def test_any_text_is_read_or_refused_in_one_line(text):
    try:
        said = str(parse_augment(text))
    except CnncliError as error:
        said = str(error).replace(text, "")
    assert "\n" not in said


def test_the_config_holds_the_steps_and_reads_them_back(tmp_path):
    steps = tmp_path / "steps.yaml"
    steps.write_text("- rotate: 5:30\n- GaussNoise: {std_range: [0.02, 0.08]}\n")
    config = RunConfig(data="digits", augment=str(steps))
    steps.unlink()  # config.yaml needs it no more
    path = tmp_path / "config.yaml"
    path.write_text(dump_config(config), encoding="utf-8")
    assert load_config(str(path), {}) == config
    assert config.augment[0] == {"rotate": {"angle": [5, 30], "border": "reflect", "p": 0.5}}
    assert "- GaussNoise:\n    std_range: [0.02, 0.08]\n" in path.read_text()
    path.write_text("data: digits\naugment:\n- rotate: 5:30\n")
    assert load_config(str(path), {}).augment == config.augment[:1]


def test_a_bad_step_in_a_config_is_told_with_its_key(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("data: digits\naugment:\n- rotate: 5\n- blurr: 3\n")
    with pytest.raises(CnncliError, match=re.escape(f"{path}: augment: step 2")):
        load_config(str(path), {})
    with pytest.raises(CnncliError, match="--augment hflp: step 1 'hflp': unknown word"):
        load_config(None, {"data": "digits", "augment": "hflp"})


def test_tta_is_flips_or_a_number():
    assert (parse_tta("flips"), parse_tta("8")) == ("flips", 8)
    for text in ("1", "0", "-3", "flip", "", "2.5", "10000", "٣"):
        with pytest.raises(CnncliError, match="--tta"):
            parse_tta(text)


def test_the_vocabulary_stands_in_the_docs():
    """The table of docs/augmentation.md is what ``docs/generate.py`` writes from the words."""
    page = (ROOT / "docs" / "augmentation.md").read_text("utf-8")
    assert load_generator().augmentation_page(page) == page, "run: python docs/generate.py"
