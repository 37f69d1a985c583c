"""YAML 1.2 for settings: the values of scalars, texts as they are written, and what is refused."""

import math
import subprocess
import sys

import pytest
import yaml

from cnncli import yaml_text
from cnncli.config import dump_config, load_config, text_settings
from cnncli.errors import CnncliError
from cnncli.recipes.tune.space import Choices, load_search
from cnncli.yaml_text import dump_yaml, parse_yaml, read_yaml


@pytest.fixture(params=["libyaml", "python"])
def parser(request, monkeypatch):
    """Both parsers of PyYAML: that of libyaml, where it is there, and that in Python."""
    if request.param == "python":
        monkeypatch.setattr(yaml_text, "_Parser", yaml.SafeLoader)
    elif not hasattr(yaml, "CSafeLoader"):
        pytest.skip("PyYAML was built without libyaml")


# Values by the tables of section 10.3.2 of YAML 1.2.2; those of YAML 1.1 are mostly others.
CORE_SCHEMA = {
    "0224": 224, "010": 10, "0123": 123, "089": 89, "-012": -12, "+7": 7, "0o17": 15, "0x1F": 31,
    "1e3": 1000.0, "1e-3": 0.001, ".5": 0.5, "5.": 5.0, "1.0e-05": 1e-5, "-.inf": -math.inf,
    ".INF": math.inf, "true": True, "False": False, "null": None, "~": None, "": None,
    "on": "on", "off": "off", "yes": "yes", "No": "No", "y": "y", "tRue": "tRue", "nULL": "nULL",
    "12:30:45": "12:30:45", "1:30": "1:30", "1_000": "1_000", "0b101": "0b101", "1e": "1e",
    "2026-01-01": "2026-01-01", "=": "=", "0x": "0x", "0o9": "0o9", "+": "+", ".": ".",
    "'0123'": "0123", '"no"': "no", "!!str 0123": "0123", "! 0123": "0123", "!!float 1": 1.0,
}  # fmt: skip


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("written", CORE_SCHEMA)
def test_scalars_are_those_of_yaml_1_2(written):
    value = parse_yaml(f"key: {written}\n")["key"]
    assert value == CORE_SCHEMA[written]
    assert type(value) is type(CORE_SCHEMA[written])
    if written:
        assert parse_yaml(f"- [{written}, 1]\n") == [[CORE_SCHEMA[written], 1]]


WRITTEN = ("0123", "~", "null", "010", "no", "on", "Yes", "1e3", "12:30:45", "0x10", "1_000", "089",
           "true", ".inf", "2026-01-01", "1.50", "+1", "0o17", "NULL", "y")  # fmt: skip


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("written", WRITTEN)
def test_a_text_setting_takes_the_scalar_as_it_is_written(tmp_path, written):
    path = tmp_path / "run.yaml"
    path.write_text(f"data: {written}\nmodel: {written}\noutput: {written}\n"
                    f"class_order: [{written}, b]\nunfreeze_at:\n- {written}\n")  # fmt: skip
    config = load_config(str(path), {})
    assert (config.data, config.model, config.output) == (written,) * 3
    assert config.class_order == [written, "b"]
    assert config.unfreeze_at == [written]
    if written not in ("~", "null", "NULL"):  # these leave open what may be left open
        path.write_text(f"data: a\nimage_col: {written}\ngroup_regex: {written}\n")
        config = load_config(str(path), {})
        assert (config.image_col, config.group_regex) == (written, written)


def test_numbers_that_began_with_a_zero_were_octal(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("data: 0123\nimage_size: 0224\nseed: 010\nepochs: 1e1\nbatch_size: 016\n")
    config = load_config(str(path), {})
    assert (config.data, config.image_size, config.seed) == ("0123", "224", 10)
    assert (config.epochs, config.batch_size) == (10, 16)


def test_a_setting_that_may_be_left_open_can_be_null(tmp_path):
    path = tmp_path / "run.yaml"
    for null in ("null", "~", "", "Null"):
        path.write_text(f"data: a\nimage_col: {null}\nclass_order: {null}\nfreeze: {null}\n")
        config = load_config(str(path), {})
        assert (config.image_col, config.class_order, config.freeze) == (None, None, None)
    path.write_text("data: a\nimage_col: 'null'\nclass_order: ['~', '']\n")
    config = load_config(str(path), {})
    assert (config.image_col, config.class_order) == ("null", ["~", ""])


def test_an_alias_is_read_by_its_place(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("seed: &n 0123\ndata: *n\nclass_order: [*n, b]\n")
    config = load_config(str(path), {})
    assert (config.seed, config.data, config.class_order) == (123, "0123", ["0123", "b"])


def test_what_is_searched_is_read_alike(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(
        "data: 0123\nstudy: 007\nsearch:\n  image_size: [032, 064, ~]\n  freeze: [010, none]\n"
        "  batch_size: [010, 016]\n  lr: [1e-3, 1e-2]\n"
    )
    search = load_search(str(path), {})
    assert search.settings["data"] == "0123"
    assert search.options == {"study": "007"}
    assert search.space == {
        "image_size": Choices(("032", "064", None)),
        "freeze": Choices(("010", "none")),
        "batch_size": Choices((10, 16)),
        "lr": Choices((1e-3, 1e-2)),
    }


REFUSED = {
    "lr: 1\nseed: 2\nlr: 3\n": "line 3: lr is given twice, first in line 1",
    "{a: 1, 'a': 2}": "line 1: a is given twice",
    "- rotate:\n    angle: 3\n    angle: 4\n": "line 3: angle is given twice, first in line 2",
    "search:\n  lr: [1]\n  lr: [2]\n": "line 3: lr is given twice",
    "a: {b: [{c: 1, c: 2}]}": "c is given twice",
    "a: 1\n--- \nb: 2\n": "line 2: a second document",
    "a: *b\n": "line 1: *b: nothing above is called &b",
    "a: &a [*a]\n": "nothing above is called &a",
    "? [a]\n: b\n": "is no key",
    "a: {{ b }}\n": "is no key",
    "a: !!set {b}\n": "!!set has no meaning",
    "a: !!int x\n": "x is no !!int",
    "a: !local b\n": "!local has no meaning",
    "a: " + "9" * 10_000: "too many digits",
    "[" * 100_000: "in each other",
    "- " * 1000 + "a": "in each other",
    "a: b: c\n": "not YAML: line 1",
    "a: 1\n\tb: 2\n": "not YAML: line 2",
    "a: \0": "not YAML",
    "<<: 3": "takes an alias of a mapping",
}  # fmt: skip


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_is_refused_names_its_line(number):
    text, words = list(REFUSED.items())[number]
    if "in each" in words and yaml_text._Parser is yaml.SafeLoader:
        text = text[:200]  # the parser in Python is slow
    with pytest.raises(ValueError, match=r"^[^\n]*$") as error:
        parse_yaml(text)
    assert words in str(error.value) or ("in each" in words and "not YAML" in str(error.value))


def test_merged_mappings_stand_behind_own_keys():
    text = "base: &b {lr: 1, seed: 2}\nrun:\n  <<: *b\n  lr: 3\n"
    assert parse_yaml(text)["run"] == {"lr": 3, "seed": 2}
    assert parse_yaml("'<<': 1") == {"<<": 1}


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("form", ["[{}]", "{{<<: [{}]}}"])
def test_aliases_that_stand_for_billions_of_values_are_refused(form):
    start = "[0]" if form[0] == "[" else "{x: 0}"
    levels = [f"a0: &a0 {start}"]
    for level in range(1, 12):
        many = ", ".join([f"*a{level - 1}"] * 9)
        levels.append(f"a{level}: &a{level} {form.format(many)}")
    with pytest.raises(ValueError, match="stand for more than"):
        parse_yaml("\n".join(levels))


def test_a_file_of_unknown_keys_ends_in_a_short_line(tmp_path):
    path = tmp_path / "run.yaml"
    for text in (
        "data: a\n" + "".join(f"key{n}: 1\n" for n in range(100_000)),
        "data: a\nclass_order: {" + ", ".join(f"key{n}: 1" for n in range(20_000)) + "}\n",
        "data: a\nmodel: [" + "x, " * 20_000 + "]\n",
        "data: a\nepochs: " + "x" * 1_000_000,
        "x" * 1_000_000 + ": 1\n",
        "? " + "x" * 1_000_000 + "\n: 1\n",
        "".join(f"key{n}: 1\n" for n in range(900)),
    ):
        path.write_text(text)
        with pytest.raises(CnncliError) as error:
            load_config(str(path), {})
        assert len(str(error.value)) < 2500, str(error.value)[:200]
    for count, words in ((900, "; and more"), (100_000, "more than 1000 keys")):
        path.write_text("search:\n" + "".join(f"  key{n}: 1\n" for n in range(count)))
        with pytest.raises(CnncliError) as error:
            load_search(str(path), {})
        assert words in str(error.value)
        assert len(str(error.value)) < 2500


def test_only_files_of_some_size_are_read(tmp_path):
    for path, words in (("/dev/zero", "a device"), (str(tmp_path / "zero"), "a device")):
        if path != "/dev/zero":
            (tmp_path / "zero").symlink_to("/dev/zero")
        with pytest.raises(CnncliError, match=words):
            read_yaml(path)
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(CnncliError, match="larger than 4 MiB"):
        read_yaml(tmp_path / "sparse")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_files_of_windows_are_read(tmp_path, encoding):
    (tmp_path / "run.yaml").write_text(
        "data: größe\r\nseed: 010\r\n", encoding=encoding, newline=""
    )
    assert read_yaml(tmp_path / "run.yaml") == {"data": "größe", "seed": 10}


@pytest.mark.parametrize("text", [*WRITTEN, "", " a", "a: b", "-", "# a", "1e+3", "0b1", "=", "<<"])
def test_what_is_written_is_read_back_by_both_versions(text):
    config = load_config(
        None, {"data": text or "a", "class_order": [text, "other"], "image_col": text, "lr": 1e-5}
    )
    written = dump_config(config)
    old = yaml.safe_load(written)
    for read in (old, parse_yaml(written), parse_yaml(written, text_settings())):
        assert read["class_order"] == [text, "other"]
        assert read["image_col"] == text
        assert read["lr"] == 1e-5
    if text.lower() in ("y", "no", "0123", "1e3", "089", "0o17"):
        assert f"'{text}'" in written
    assert parse_yaml(dump_yaml({text: text})) == {text: text}
    assert dump_yaml({"norm": "3=none"}) == "norm: 3=none\n"  # no more quotes than needed


def test_a_texts_schema_follows_the_settings():
    texts = text_settings()
    assert not texts["data"]
    assert texts["image_col"]
    assert {"model", "output", "class_order", "unfreeze_at", "image_size", "augment"} <= set(texts)
    assert not {"seed", "lr", "batch_size", "compile", "optimizer"} & set(texts)


def test_an_error_in_yaml_is_one_line_and_exit_code_2(tmp_path):
    (tmp_path / "run.yaml").write_text("data: digits\nlr: 0.1\nlr: 0.2\n")
    command = [sys.executable, "-m", "cnncli", "train", "--config", "run.yaml"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == (
        "Error: --config run.yaml: line 3: lr is given twice, first in line 2; keep one\n"
    )
