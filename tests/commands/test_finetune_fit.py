"""``finetune`` by default: the head is fitted, then all weights are trained from there."""

import csv

import numpy as np
import pytest
import torch
import yaml
from helpers import train
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from cnncli.config import FinetuneConfig
from cnncli.models.build import build_network
from cnncli.recipes.train import resume_run, train_run
from cnncli.reporting import SilentReporter
from cnncli.training.checkpoint import load_checkpoint


class Listener(SilentReporter):
    """Keeps what a run says."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


class BrokenOffError(Exception):
    """Ends a run as a kill would, after a row is written."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory, folder_data):
    """Return the folder of a small run whose weights the others start from."""
    return train(tmp_path_factory.mktemp("first"), data=str(folder_data), image_size="24")


def settings(weights, data, output, **changes):
    values = {"data": str(data), "weights": str(weights), "model": "lenet5", "output": str(output)}
    values |= {"device": "cpu", "precision": "fp32", "epochs": 2}
    return FinetuneConfig(**(values | changes))


def rows_of(run):
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in r.items() if k not in ("seconds", "images_per_second")} for r in rows]


def test_the_fit_is_row_0_and_val_decides(weights, folder_data, tmp_path):
    listener = Listener()
    run = train_run(settings(weights, folder_data, tmp_path), listener)
    rows = rows_of(run)
    assert [(row["epoch"], row["stage"]) for row in rows] == [
        ("0", "head"),
        ("1", "all"),
        ("2", "all"),
    ]
    *_, best = [row for row in rows if row["kept"] == "1"]
    _, checkpoint = load_checkpoint(run / "best.safetensors")
    assert (str(checkpoint.epoch), checkpoint.temperature) == (
        best["epoch"],
        float(best["temperature"]),
    )
    assert any(note.startswith("kept: ") for note in listener.notes)
    (line,) = [note for note in listener.notes if note.startswith("weights ")]
    assert line.endswith("; the head is fitted anew")
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert (config["head"], config["freeze"], config["augment_views"]) == ("fit", "none", 4)


@pytest.mark.parametrize("last", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_broken_off_in_either_stage_it_goes_on_to_the_same_bits(
    weights, folder_data, tmp_path, last
):
    config = settings(weights, folder_data, tmp_path / "whole")
    whole = train_run(config, SilentReporter())

    def break_off(row):
        if row["epoch"] == last:
            raise BrokenOffError

    broken = config.model_copy(update={"output": str(tmp_path / "broken")})
    with pytest.raises(BrokenOffError):
        train_run(broken, SilentReporter(), break_off)
    (run,) = (tmp_path / "broken").iterdir()
    if last == 0:  # killed between the two files
        (run / "best.safetensors").unlink()
    resume_run(run, SilentReporter())
    assert rows_of(run) == rows_of(whole)
    one, other = (load_file(folder / "best.safetensors") for folder in (run, whole))
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_a_frozen_backbone_keeps_the_fit_alone(weights, folder_data, tmp_path):
    config = settings(weights, folder_data, tmp_path, freeze="backbone", epochs=None)
    run = train_run(config, SilentReporter())
    assert [(row["epoch"], row["stage"]) for row in rows_of(run)] == [("0", "head")]
    before, after = (load_file(folder / "best.safetensors") for folder in (weights, run))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert len(changed) == 2  # the weight and the bias of the head
    assert (run / "curves.png").exists()
    # Its own settings give it again.
    again = FinetuneConfig(**yaml.safe_load((run / "config.yaml").read_text()))
    second = train_run(again, SilentReporter())
    theirs = load_file(second / "best.safetensors")
    assert all(torch.equal(after[name], theirs[name]) for name in after)


@pytest.mark.slow
def test_squeezenets_head_is_logistic_regression(folder_data, tmp_path, monkeypatch):
    torch.manual_seed(0)
    network = build_network("squeezenet1_1", num_classes=5, in_channels=3, image_size=(32, 32))
    file = tmp_path / "w.safetensors"
    save_file(network.state_dict(), file)
    config = settings(
        file, folder_data, tmp_path / "runs", model="squeezenet1_1", freeze="backbone",
        epochs=None, image_size="32", augment_views=1,
    )  # fmt: skip
    # No view is used, so that scikit-learn can be given the very same features.
    monkeypatch.setattr("cnncli.run.fit_head.is_better", lambda *given, errors: True)
    listener = Listener()
    run = train_run(config, listener)
    fitted, checkpoint = load_checkpoint(run / "best.safetensors")
    assert checkpoint.options["linear_head"]
    assert isinstance(fitted.classifier[2], torch.nn.Identity)
    with (run / "splits.csv").open(newline="") as table:
        train_rows = [row for row in csv.DictReader(table) if row["split"] == "train"]
    files = [(folder_data / row["path"]).read_bytes() for row in train_rows]
    images = torch.from_numpy(np.stack([checkpoint.preprocess([data]) for data in files]))
    classifier = checkpoint.classifier(fitted)
    with torch.no_grad():
        maps = fitted.features(classifier.normalise(images))
        given = classifier(images).numpy()
    (line,) = [note for note in listener.notes if note.startswith("head fitted")]
    strength = float(line.split("strength ")[1].split(",")[0])
    features = maps.mean((2, 3)).double().numpy()
    labels = [checkpoint.class_names.index(row["label"]) for row in train_rows]
    model = LogisticRegression(C=strength / len(labels), tol=1e-8, max_iter=9999)
    rows = StandardScaler().fit_transform(features)
    expected = model.fit(rows, labels).predict_proba(rows)
    np.testing.assert_allclose(given, expected, atol=2e-3)


def test_print_config_shows_the_stages(cli, weights):
    given = ("finetune", "--data", "digits", "--weights", weights, "--print-config")
    assert "# two stages: head, fitted" in cli(*given).out
    assert "# one stage: head, fitted" in cli(*given, "--freeze", "backbone").out
    mixed = cli(*given, "--mixup", "0.2")
    assert "# one stage: " in mixed.out
    assert "not fitted: --mixup 0.2" in mixed.err
