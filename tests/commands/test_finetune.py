"""Transfer learning end to end: features kept once give what the loop gives, bit by bit."""

import csv
import json

import pytest
import torch
from helpers import train, write_digits
from safetensors.torch import load_file

from cnncli.choices import SPLITS
from cnncli.config import FinetuneConfig
from cnncli.errors import CnncliError
from cnncli.recipes.train import train_run
from cnncli.reporting import SilentReporter
from cnncli.run.fit import fit
from cnncli.run.prepare import prepare
from cnncli.training.device import Compute


class Listener(SilentReporter):
    """Keeps what a recipe says."""

    def __init__(self):
        self.notes, self.tables = [], []

    def note(self, text):
        self.notes.append(text)

    def table(self, title, rows, layout=None):
        self.tables.append((title, list(rows)))


def settings(output, **changes):
    values = {"data": "digits", "model": "resnet_small", "weights": "none", "epochs": 2}
    values |= {"val_fraction": 0.8, "test_fraction": 0.05, "image_size": "16", "workers": 0}
    return FinetuneConfig(**{**values, "output": str(output), **changes})


def fit_both_ways(tmp_path, config):
    """Fit with kept features and in the loop; return both runs' folders and what was said."""
    folders, said = [], []
    for cached in (True, False):
        folder = tmp_path / str(cached)
        folder.mkdir()
        listener = Listener()
        run = prepare(config, Compute(torch.device("cpu"), "fp32"), listener)
        fit(run, folder, listener, cache_features=cached)
        folders.append(folder)
        said.append(listener)
    return folders, said


def rows_of(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    times = ("seconds", "images_per_second")
    return [{k: v for k, v in row.items() if k not in times} for row in rows]


@pytest.mark.parametrize("dropout", [pytest.param(None, marks=pytest.mark.slow), 0.3])
def test_kept_features_give_the_loops_weights_bit_by_bit(tmp_path, dropout):
    config = settings(tmp_path, freeze="backbone", bn="train", dropout=dropout)
    (cached, looped), (said, silent) = fit_both_ways(tmp_path, config)
    assert any("ran once" in note for note in said.notes)
    assert not any("ran once" in note for note in silent.notes)
    first, second = (load_file(folder / "best.safetensors") for folder in (cached, looped))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert rows_of(cached) == rows_of(looped)


@pytest.mark.slow
def test_kept_maps_give_squeezenets_weights_but_for_rounding(tmp_path):
    """Its dropout, its head, a ReLU and the average over the map run on features that are maps."""
    config = settings(
        tmp_path, model="squeezenet1_1", freeze="backbone", image_size="64", in_channels=1,
        val_fraction=0.9, epochs=2,
    )  # fmt: skip
    (cached, looped), (said, _) = fit_both_ways(tmp_path, config)
    assert any("ran once" in note for note in said.notes)
    first, second = (load_file(folder / "best.safetensors") for folder in (cached, looped))
    for name, tensor in second.items():
        torch.testing.assert_close(first[name], tensor, rtol=0, atol=1e-6)
    assert rows_of(cached) == rows_of(looped)


@pytest.mark.slow
def test_kept_views_are_augmented_and_change_by_epoch(tmp_path):
    config = settings(tmp_path, freeze="backbone", augment="light", augment_views=2, epochs=3)
    (cached, looped), (said, _) = fit_both_ways(tmp_path, config)
    assert any("ran once" in note for note in said.notes)
    first, second = rows_of(cached), rows_of(looped)
    # View v is what the loop draws in epoch v: equal as long as there are new views.
    assert first[:2] == second[:2]
    assert first[2] != second[2]


def test_without_views_random_augmentation_runs_the_whole_network(tmp_path):
    config = settings(tmp_path, freeze="backbone", augment="light", epochs=1)
    _, (said, _) = fit_both_ways(tmp_path, config)
    assert not any("ran once" in note for note in said.notes)


def test_weights_of_a_run_are_where_the_next_one_starts(tmp_path):
    first = train_run(settings(tmp_path, freeze="none", epochs=1), SilentReporter())
    listener = Listener()
    config = settings(
        tmp_path, weights=str(first), freeze="backbone", image_size=None, seed=1, epochs=1
    )
    second = train_run(config, listener)
    before, after = load_file(first / "best.safetensors"), load_file(second / "best.safetensors")
    backbone = [name for name in before if not name.startswith("fc.")]
    assert all(torch.equal(before[name], after[name]) for name in backbone)
    assert not torch.equal(before["fc.weight"], after["fc.weight"])
    (line,) = [note for note in listener.notes if note.startswith("weights ")]
    assert f"{len(before)} tensors loaded" in line


def test_the_head_of_a_run_follows_the_names_of_the_classes(tmp_path):
    data = tmp_path / "data"
    write_digits(data, names=("ant", "bee", "cat"))
    changes = {"data": str(data), "val_fraction": 0.2, "test_fraction": 0.2, "epochs": 1}
    first = train_run(settings(tmp_path / "runs", freeze="none", **changes), SilentReporter())
    theirs = load_file(first / "best.safetensors")
    changes |= {"weights": str(first), "image_size": None, "head": "epochs"}
    for order, rows in (("cat,ant,bee", [2, 0, 1]), ("ant,bee,cat", [0, 1, 2])):
        listener = Listener()
        config = settings(tmp_path, class_order=order, **changes)
        run = prepare(config, Compute(torch.device("cpu"), "fp32"), listener)
        assert run.samples.class_names == tuple(order.split(","))
        assert torch.equal(run.network.fc.weight, theirs["fc.weight"][rows])
        assert torch.equal(run.network.fc.bias, theirs["fc.bias"][rows])
        (line,) = [note for note in listener.notes if note.startswith("weights ")]
        assert ("put into the order of this run's classes" in line) == (rows != [0, 1, 2])
    (data / "cat").rename(data / "dog")  # as many classes, not the same
    listener = Listener()
    config = settings(tmp_path, **changes)
    run = prepare(config, Compute(torch.device("cpu"), "fp32"), listener)
    assert not torch.equal(run.network.fc.weight, theirs["fc.weight"])
    (line,) = [note for note in listener.notes if note.startswith("weights ")]
    assert line.endswith("the head is not used, since its classes are others (cat)")


def test_table_metrics_and_unfreezing_agree(tmp_path):
    listener = Listener()
    config = settings(
        tmp_path, freeze="stages:2", unfreeze_at=["2=none"], bn="train", lr_backbone=1e-4, lr=1e-3
    )
    run_dir = train_run(config, listener)
    (start, first), (change, second) = listener.tables[:2]
    assert (start, change) == ("freeze stages:2", "freeze none from epoch 2")
    weights = load_file(run_dir / "best.safetensors")
    total = sum(v.numel() for k, v in weights.items() if "running" not in k and "num_b" not in k)
    assert first[-1]["parameters"] == second[-1]["trainable"] == total
    assert first[-1]["frozen"] > 0 == second[-1]["frozen"]
    assert [row["lr"] for row in second[:-2]] == pytest.approx([1e-4] * (len(second) - 2))
    assert second[-2]["lr"] == pytest.approx(1e-3)
    assert len(rows_of(run_dir)) == 2


def test_wrong_policy_for_a_late_epoch_is_told_before_the_first(tmp_path):
    with pytest.raises(CnncliError, match="no layer is named"):
        train_run(settings(tmp_path, unfreeze_at=["2=nope"]), SilentReporter())
    assert list(tmp_path.iterdir()) == []


def test_report_is_of_the_weights_on_disk(tmp_path):
    run_dir = train_run(settings(tmp_path, freeze="backbone", epochs=1), SilentReporter())
    report = json.loads((run_dir / "report.json").read_text())
    assert report["split"] == SPLITS[2]
    assert 0 <= report["accuracy"]["value"] <= 1


@pytest.mark.parametrize("command", ["train", "finetune"])
@pytest.mark.parametrize("name", ["", "best.safetensors"])
def test_the_network_is_that_of_the_run_whose_weights_are_named(cli, run_dir, command, name):
    weights = run_dir / name
    result = cli(command, "--data", "digits", "--weights", weights, "--print-config")
    assert "\nmodel: lenet5\n" in result.out
    assert result.err == f"--model lenet5: the network of --weights {weights}\n"


def test_a_network_that_was_named_counts(cli, run_dir, tmp_path):
    given = ("finetune", "--data", "digits", "--weights", run_dir, "--print-config")
    result = cli(*given, "--model", "resnet18")
    assert ("\nmodel: resnet18\n" in result.out, result.err) == (True, "")
    (tmp_path / "c.yaml").write_text("model: resnet_small\n")
    result = cli(*given, "--config", tmp_path / "c.yaml")
    assert ("\nmodel: resnet_small\n" in result.out, result.err) == (True, "")
    for other in ("default", "none", "nosuch.safetensors", tmp_path):
        result = cli("finetune", "--data", "digits", "--weights", other, "--print-config")
        assert "\nmodel: resnet18\n" in result.out


def test_weights_by_a_part_of_a_runs_name(cli, workspace, run_dir, monkeypatch):
    monkeypatch.chdir(workspace)
    path = f"runs/{run_dir.name}"
    for given in ("last", run_dir.name, run_dir.name[:-3], run_dir.name[5:]):
        result = cli("finetune", "--data", "digits", "--weights", given, "--print-config")
        assert f"\nweights: {path}\n" in result.out
        assert result.err == (
            f"--weights {given}: {path}; --model lenet5: the network of --weights {path}\n"
        )
    for given in ("imagenet1k_v1", "default"):
        result = cli("finetune", "--data", "digits", "--weights", given, "--print-config")
        assert (f"\nweights: {given}\n" in result.out, result.err) == (True, "")
    refused = cli("finetune", "--data", "digits", "--weights", "runs")
    assert f"name one of them: {run_dir.name}" in refused.error


def test_its_norm_and_activation_are_taken_too(cli, folder_data, tmp_path):
    run = train(tmp_path, data=str(folder_data), model="resnet_small", image_size="16", norm="none")
    result = cli("finetune", "--data", "digits", "--weights", run, "--print-config")
    assert "\nmodel: resnet_small\n" in result.out
    assert "\nnorm: none\n" in result.out
    assert result.err == f"--model resnet_small, --norm none: the network of --weights {run}\n"
    result = cli(
        "finetune", "--data", "digits", "--weights", run, "--print-config", "--norm", "batch"
    )
    assert "\nnorm: batch\n" in result.out
