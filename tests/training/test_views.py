"""Test-time augmentation: means over views that depend on the image alone."""

import csv
import io
import json

import numpy as np
import pytest
import torch
from helpers import train

from cnncli.augmentation.build import build_augment
from cnncli.augmentation.notation import parse_augment
from cnncli.errors import CnncliError
from cnncli.training.checkpoint import load_checkpoint, save_checkpoint
from cnncli.training.device import choose_compute
from cnncli.training.predictions import predict_views
from cnncli.training.views import build_views

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 10, 12, 2), dtype=np.uint8)


def views_of(tta, text, images=IMAGES):
    return list(build_views(tta, parse_augment(text) if text else [])(images))


def test_flips_are_the_image_and_its_mirror_image():
    for text in ("", "light", "medium"):
        views = views_of("flips", text)
        assert len(views) == 2
        np.testing.assert_array_equal(views[0], IMAGES)
        np.testing.assert_array_equal(views[1], IMAGES[:, :, ::-1])


def test_flips_are_upside_down_too_where_training_was():
    for text in ("strong", "vflip", "VerticalFlip p=0.3", "rot90"):
        views = views_of("flips", text)
        expected = (
            IMAGES,
            IMAGES[:, :, ::-1],
            IMAGES[:, ::-1],
            IMAGES[:, ::-1, ::-1],
        )
        for view, mirrored in zip(views, expected, strict=True):
            np.testing.assert_array_equal(view, mirrored)


def test_draws_depend_on_the_image_alone():
    views = views_of(5, "medium")
    assert len(views) == 5
    np.testing.assert_array_equal(views[0], IMAGES)
    for order in ([2, 0, 1], [1]):
        again = views_of(5, "medium", IMAGES[order])
        for view, other in zip(views, again, strict=True):
            np.testing.assert_array_equal(view[order], other)
    assert len({view.tobytes() for view in views}) > 3
    more = views_of(8, "medium")  # more views begin with the same
    for view, other in zip(views, more[:5], strict=True):
        np.testing.assert_array_equal(view, other)


def test_draws_are_the_runs_own_augmentation():
    steps = parse_augment("translate 0.3 p=1")
    augment = build_augment(steps)
    assert augment is not None
    flat = np.zeros((1, 8, 8, 1), np.uint8)
    flat[0, 4, 4] = 255
    for view in views_of(6, "translate 0.3 p=1 border=black", flat)[1:]:
        assert set(np.unique(view)) <= {0, 255}  # moved by whole pixels, nothing else
    assert {view.tobytes() for view in views_of(6, "translate 0.3 p=1", flat)} != {flat.tobytes()}


def test_draws_without_augmentation_are_one_clear_error():
    with pytest.raises(CnncliError, match=r"--tta 4: .* without augmentation.*--tta flips"):
        build_views(4, [])


class Brightness(torch.nn.Module):
    """Answers with the mean of the left half, and what is left to 1."""

    def forward(self, images):
        left = images[:, :, : images.shape[2] // 2].float().mean((1, 2, 3)) / 255
        return torch.stack([left, 1 - left], dim=1)


def test_probabilities_are_averaged_in_float64():
    compute = choose_compute("cpu", "fp32")
    got = predict_views(Brightness(), torch.from_numpy(IMAGES), compute, build_views("flips", []))
    assert got.dtype == np.float64
    halves = [IMAGES[:, :, :6].mean((1, 2, 3)) / 255, IMAGES[:, :, 6:].mean((1, 2, 3)) / 255]
    expected = np.mean(halves, axis=0)
    np.testing.assert_allclose(got, np.stack([expected, 1 - expected], axis=1), atol=1e-6)
    alone = predict_views(Brightness(), torch.from_numpy(IMAGES), compute, None)
    np.testing.assert_allclose(alone[:, 0], halves[0], atol=1e-6)


@pytest.mark.parametrize("tta", ["flips", "3"])
def test_evaluate_and_predict_average_alike(cli, run_dir, folder_data, tmp_path, tta):
    out = tmp_path / "out"
    args = ("--checkpoint", run_dir, "--device", "cpu", "--precision", "fp32", "--tta", tta)
    result = cli("evaluate", *args, "--split", "all", "--output", out, "--format", "json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["tta"] == (tta if tta == "flips" else int(tta))
    with (out / "predictions.csv").open() as file:
        evaluated = {row["path"]: row for row in csv.DictReader(file)}
    some = sorted(folder_data.rglob("*.png"))[3:60:7][::-1]  # another order, another batch
    result = cli("predict", *some, *args, "--probabilities", "--format", "csv", "--batch-size", 3)
    rows = list(csv.DictReader(io.StringIO(result.out)))
    assert len(rows) == len(some)
    plain = cli("predict", *some, *args[:-2], "--probabilities", "--format", "csv")
    changed = 0
    for row, before in zip(rows, csv.DictReader(io.StringIO(plain.out)), strict=True):
        same = evaluated[str(folder_data.__class__(row["path"]).relative_to(folder_data))]
        for name in ("zero", "one", "two"):
            column = f"probability_{name}"
            assert float(row[column]) == pytest.approx(float(same[column]), abs=2e-6)
            changed += row[column] != before[column]
    assert changed > len(rows)


def test_the_report_names_tta_only_where_it_was_used(cli, run_dir):
    args = ("evaluate", "--checkpoint", run_dir, "--device", "cpu")
    assert "tta" not in json.loads(cli(*args, "--format", "json").out)
    assert "tta" not in cli(*args, "--format", "table").out
    assert "tta" in cli(*args, "--tta", "2", "--format", "table").out


def test_a_run_without_augmentation_has_nothing_to_draw_from(cli, folder_data, tmp_path):
    run = train(tmp_path, data=str(folder_data), augment="none")
    image = next(folder_data.rglob("*.png"))
    for command in (("predict", image), ("evaluate",)):
        result = cli(*command, "--checkpoint", run, "--tta", "4")
        assert result.code == 2
        assert "without augmentation" in result.error
        assert cli(*command, "--checkpoint", run, "--tta", "flips").code == 0


@pytest.mark.parametrize("tta", ["1", "flip", "-2", "many"])
def test_bad_tta_is_a_usage_error(cli, tta):
    for command in (("predict", "a.png"), ("evaluate",)):
        result = cli(*command, "--tta", tta)
        assert result.code == 2
        assert f"--tta {tta}: " in result.error


def test_the_checkpoint_keeps_the_steps_and_older_ones_have_none(run_dir, tmp_path, monkeypatch):
    network, checkpoint = load_checkpoint(run_dir / "best.safetensors")
    assert checkpoint.augment == parse_augment("light")
    import cnncli.training.checkpoint as module

    dumps = json.dumps

    def without(meta, **options):
        return dumps({key: value for key, value in meta.items() if key != "augment"}, **options)

    monkeypatch.setattr(module.json, "dumps", without)
    save_checkpoint(tmp_path / "old.safetensors", network, checkpoint)
    assert load_checkpoint(tmp_path / "old.safetensors")[1].augment == []


def test_a_checkpoint_with_broken_steps_is_refused(run_dir, tmp_path):
    from dataclasses import replace

    network, checkpoint = load_checkpoint(run_dir / "best.safetensors")
    broken = replace(checkpoint, augment=[{"hflip": {"q": 3}}])
    save_checkpoint(tmp_path / "broken.safetensors", network, broken)
    with pytest.raises(CnncliError, match="not a checkpoint this version can use: step 1"):
        load_checkpoint(tmp_path / "broken.safetensors")
