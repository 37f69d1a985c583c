"""The config: YAML and flags, what is refused, and that it can be read back."""

import math
import typing

import pytest
import yaml

from cnncli.choices import Heading
from cnncli.config import (
    FinetuneConfig,
    Kind,
    ResolvedConfig,
    RunConfig,
    dump_config,
    keys_by_heading,
    keys_of_kind,
    load_config,
)
from cnncli.errors import CnncliError
from cnncli.shell.run_flags import RUN_FLAGS, TRAIN_FLAGS


def write(tmp_path, text):
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def refusal(path, **given):
    with pytest.raises(CnncliError) as caught:
        load_config(path, given)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_field_is_a_flag_in_one_order_under_the_same_headings():
    headings = {}
    for name, flag in RUN_FLAGS.items():
        headings.setdefault(typing.get_args(flag)[1].rich_help_panel, []).append(name)
    assert headings == keys_by_heading()
    assert list(headings) == list(typing.get_args(Heading))
    assert list(RUN_FLAGS) == list(RunConfig.model_fields)  # headings are not taken up again
    assert set(TRAIN_FLAGS) < set(RUN_FLAGS)
    for other in (FinetuneConfig, ResolvedConfig):
        assert list(other.model_fields) == list(RunConfig.model_fields)


def test_every_field_has_one_kind():
    kinds = [keys_of_kind(kind) for kind in typing.get_args(Kind)]
    assert sorted(key for keys in kinds for key in keys) == sorted(RunConfig.model_fields)
    # What changes the images, and by what a run is evaluated; what two machines may have apart.
    assert {"data", "seed", "monitor", "val_fraction"} <= set(keys_of_kind("data"))
    assert {"output", "device", "workers"} <= set(keys_of_kind("place"))
    assert {"lr", "precision", "image_size"} <= set(keys_of_kind("learning"))


def test_choices_are_the_same_in_flags_and_fields():
    compared = 0
    for name, flag in RUN_FLAGS.items():
        kind = typing.get_args(typing.get_args(flag)[0])[0]
        choices = typing.get_args(kind)
        if choices:
            kinds = typing.get_args(RunConfig.model_fields[name].annotation)
            assert choices in (kinds, typing.get_args(kinds[0]))  # or with None beside it
            compared += 1
    assert compared >= 3


def test_defaults_told_in_the_help_are_the_defaults():
    compared = 0
    for name, flag in TRAIN_FLAGS.items():
        default = RunConfig.model_fields[name].default
        if name != "data" and default not in (None, []) and not isinstance(default, bool):
            text = typing.get_args(flag)[1].help
            # one default, or train's beside that of another command
            assert text.endswith(f"[{default}].") or f"[train: {default}, " in text, (name, text)
            compared += 1
    assert compared >= 10


def test_flags_win_over_yaml(tmp_path):
    path = write(tmp_path, "data: a\nlr: 0.5\nepochs: 7\n")
    config = load_config(path, {"lr": 0.25})
    assert (config.data, config.lr, config.epochs) == ("a", 0.25, 7)


def test_unknown_key_names_the_nearest(tmp_path):
    said = refusal(write(tmp_path, "data: a\nbatch-size: 3\n"))
    assert "batch-size: unknown key" in said
    assert "did you mean batch_size" in said


def test_all_problems_at_once(tmp_path):
    said = refusal(write(tmp_path, "epoch: 3\nepochs: 0\nresize_mode: zoom\n"), lr=-1.0)
    for part in ("epoch: unknown key", "epochs 0:", "resize_mode zoom:", "--lr -1.0:", "--data:"):
        assert part in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a\n- b\n", "holds no settings"),
        ("just words", "holds no settings"),
        ("data: [unclosed", "not YAML"),
        ("data: !!python/object/apply:os.system ['echo hacked']", "has no meaning"),
        ("\t- a", "not YAML"),
        ("", "--data: missing"),
        ("1: 2\ndata: a", "1"),
        ("data: a\nepochs: yes", "epochs yes: "),
        ("data: a\nepochs: true", "true and false"),
        ("data: a\nclass_order: [a, ]\nseed: x", "seed x"),
        ("data: a\nclass_order:\n- a\n-\n", "class_order: an item of the list is empty"),
        ("data: a\nclass_order: {a: b}", "class_order"),
        ("data: [a, b]", "data"),
    ],
)
def test_yaml_that_is_none(tmp_path, text, words):
    assert words in refusal(write(tmp_path, text))


def test_yaml_that_cannot_be_read(tmp_path):
    assert "No such file" in refusal(str(tmp_path / "nosuch.yaml"))
    assert "directory" in refusal(str(tmp_path))
    assert "directory" in refusal("", data="a")
    (tmp_path / "latin.yaml").write_bytes(b"data: caf\xe9")
    assert "not YAML" in refusal(str(tmp_path / "latin.yaml"))


def test_yaml_forms_that_people_write(tmp_path):
    text = "data: 2024\nlr: 1e-3\nimage_size: 64\nclass_order: [1, 2]\nin_channels: 3\n"
    config = load_config(write(tmp_path, text), {})
    assert (config.data, config.lr, config.image_size) == ("2024", 0.001, "64")
    assert config.class_order == ["1", "2"]
    assert config.in_channels == 3


@pytest.mark.parametrize(
    ("given", "order"),
    [
        ('a,"b, c",d', ["a", "b, c", "d"]),
        ('"b,c", a', ["b,c", "a"]),
        ('a, "b,c"', ["a", "b,c"]),
        ('"say ""hm""",b', ['say "hm"', "b"]),
        ('6" disc,b', ['6" disc', "b"]),
        (["a", "b, c", 2], ["a", "b, c", "2"]),
    ],
)
def test_an_order_with_commas_in_names(given, order):
    assert load_config(None, {"data": "a", "class_order": given}).class_order == order


@pytest.mark.parametrize("given", ['"a,b', '"a"b,c'])
def test_an_order_with_wrong_quotes_is_one_line(given):
    assert "quotes are for a whole name" in refusal(None, data="a", class_order=given)


def test_sizes_and_orders_of_flags():
    config = load_config(None, {"data": "a", "image_size": "64X96", "class_order": "b, a"})
    assert config.image_size == "64x96"
    assert config.class_order == ["b", "a"]
    assert load_config(None, {"data": "a", "image_size": "64x64"}).image_size == "64"


BOUNDS = [
    ("epochs", 0, 1),
    ("batch_size", 0, 1),
    ("patience", 0, 1),
    ("workers", -1, 0),
    ("workers", 99999, 8),
    ("in_channels", 0, 1),
    ("in_channels", 5000, 5),
    ("fold", -1, 0),
    ("seed", -1, 0),
    ("seed", 2**32, 2**32 - 1),
    ("lr", 0.0, 1e-12),
    ("lr", math.inf, 1e30),
    ("lr", 1e39, 1e30),
    ("lr", math.nan, 1.0),
    ("weight_decay", -1e-9, 0.0),
    ("weight_decay", math.inf, 10.0),
    ("label_smoothing", -0.1, 0.0),
    ("label_smoothing", 1.0, 0.99),
    ("momentum", 1.0, 0.9),
    ("warmup", -0.1, 0.0),
    ("warmup", 1.0, 0.9),
    ("lr_step", 0, 1),
    ("lr_gamma", 0.0, 0.5),
    ("lr_gamma", 1.0, 0.99),
    ("l1", -1e-9, 0.0),
    ("l1", 1e39, 1e8),
    ("elastic_net", -0.1, 0.0),
    ("elastic_net", 1.1, 1.0),
    ("mixup", -0.1, 0.0),
    ("cutmix", -0.1, 1.0),
    ("ema", 1.0, 0.999),
    ("clip_grad", -1.0, 0.0),
    ("accumulate", 0, 1),
    ("accumulate", 10**20, 10**6),
    ("checkpoint_every", 0, 1),
    ("keep_every", 0, 1),
    ("min_delta", -0.1, 0.0),
    ("time_limit", "2 hours", "2h"),
    ("time_limit", "", "1h30m"),
    ("time_limit", "0s", "1s"),
    ("val_fraction", 0.0, 0.01),
    ("val_fraction", 1.0, 0.84),
    ("test_fraction", -0.1, 0.0),
    ("test_fraction", 1.0, 0.84),
    ("dropout", -0.1, 0.0),
    ("dropout", 1.0, 0.5),
    ("lr_backbone", -1e-9, 0.0),
    ("layer_decay", 0.0, 1.0),
    ("layer_decay", 1.1, 0.5),
    ("augment_views", 0, 1),
    ("image_size", "0", "1"),
    ("image_size", "12x", "12x14"),
]


@pytest.mark.parametrize(
    ("name", "bad", "good"), [bound for bound in BOUNDS if bound[0] in RunConfig.model_fields]
)
def test_bounds(name, bad, good):
    said = refusal(None, data="a", **{name: bad})
    assert said.startswith(f"--{name.replace('_', '-')} {bad}: ")
    config = load_config(None, {"data": "a", "scheduler": "step", name: good})
    assert getattr(config, name) == good


def test_every_number_has_a_bound_here():
    numbers = {
        name
        for name, flag in RUN_FLAGS.items()
        if set(typing.get_args(typing.get_args(flag)[0])) & {int, float}
    }
    assert numbers <= {name for name, _, _ in BOUNDS}


def test_settings_that_do_not_go_together():
    assert "one of them" in refusal(None, data="a", l1=0.1, elastic_net=0.5)
    assert "nothing to train on" in refusal(None, data="a", val_fraction=0.5, test_fraction=0.5)
    assert "one of them" in refusal(None, data="a", group_col="p", group_regex=".")
    assert "only with step" in refusal(None, data="a", lr_step=3)
    assert "--scheduler step, only with" in refusal(
        None, data="a", scheduler="step", lr_milestones="1,2"
    )
    assert "no effect with --scheduler linear" in refusal(
        None, data="a", scheduler="linear", lr_gamma=0.5
    )


@pytest.mark.parametrize(
    "given",
    [
        {"data": "digits"},
        {"data": "no", "image_size": "32", "class_order": "yes,no,1e3,0x10"},
        {"data": "길/é", "lr": 1e-5, "group_regex": r"^(\d+)[_-]", "seed": 2**32 - 1},
        {"data": "a\nepochs: 3\n\nlr: 2", "augment": "light", "unfreeze_at": ["2", "3=none"]},
    ],
)
def test_dump_reads_back_to_the_same(tmp_path, given):
    config = load_config(None, given)
    assert load_config(write(tmp_path, dump_config(config)), {}) == config


def test_print_config(cli, tmp_path):
    path = write(tmp_path, "data: a\nlr: 0.5\n")
    result = cli("train", "-c", path, "--print-config", "--lr", "0.125", "--class-order", "b,a")
    assert (result.code, result.err) == (0, "")
    assert yaml.safe_load(result.out)["lr"] == 0.125
    again = load_config(write(tmp_path, result.out), {})
    assert again == load_config(None, {"data": "a", "lr": 0.125, "class_order": "b,a"})
