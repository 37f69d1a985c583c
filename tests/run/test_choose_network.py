"""``finetune --model auto``: which of several pretrained networks is fine-tuned, and why."""

import csv
import shutil
import socket
import time

import numpy as np
import pytest
import torch
import yaml
from helpers import Heard, train, write_digits
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from cnncli.config import FinetuneConfig, list_candidates, take_network
from cnncli.errors import CnncliError
from cnncli.models.build import build_network
from cnncli.models.registry import MODELS
from cnncli.recipes import cross_validate
from cnncli.recipes import train as recipe
from cnncli.recipes.train import resume_run, train_run
from cnncli.reporting import SilentReporter
from cnncli.run import choose_network as module
from cnncli.run import judge_network
from cnncli.run.choose_network import choose_network
from cnncli.run.judge_network import Candidate
from cnncli.training.checkpoint import load_checkpoint
from cnncli.training.device import Compute
from cnncli.training.distributed import World
from cnncli.training.head_fit import Judgement

CPU = Compute(torch.device("cpu"), "fp32")


class Listener(Heard):
    """Keeps the tables too."""

    def __init__(self):
        super().__init__()
        self.tables = []

    def table(self, title, rows, layout=None):
        self.tables.append((title, list(rows)))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return weights of LeNet-5: trained on other digits, and random ones that are blind."""
    root = tmp_path_factory.mktemp("weights")
    write_digits(root / "others", ("3", "4", "5", "6", "7"), per_class=30)
    run = train(root / "runs", data=str(root / "others"), image_size="28", epochs=3)
    torch.manual_seed(1)
    network = build_network("lenet5", num_classes=5, in_channels=1, image_size=(28, 28))
    # Random features tell these digits apart, too; through kernels of zeros no image comes.
    torch.nn.init.zeros_(network.conv1.weight)
    save_file(network.state_dict(), root / "blind.safetensors")
    return {"trained": run, "blind": root / "blind.safetensors"}


def settings(data, output, weights, **changes):
    values = {"data": str(data), "output": str(output), "device": "cpu", "precision": "fp32"}
    values |= {"weights": ",".join(map(str, weights)), "image_size": "28", "freeze": "backbone"}
    values |= {"resize_mode": "squash", "augment_views": 1}
    return FinetuneConfig(**(values | {"model": ",".join(["lenet5"] * len(weights))} | changes))


def choose(config, reporter=None, **more):
    return choose_network(config, CPU, reporter or Heard(), started=time.monotonic(), **more)


@pytest.fixture(scope="module")
def chosen(files, folder_data, tmp_path_factory):
    """Return a run that chose the second of two networks, and what it said."""
    listener = Listener()
    output = tmp_path_factory.mktemp("runs")
    return train_run(
        settings(folder_data, output, [files["blind"], files["trained"]]), listener
    ), listener


def test_weights_that_have_seen_digits_win_over_blind_ones(chosen, files):
    run, listener = chosen
    ((_, rows),) = [table for table in listener.tables if table[0].startswith("networks")]
    best, other = rows  # the lowest loss first
    assert (best["weights"], other["weights"]) == (str(files["trained"]), str(files["blind"]))
    assert best["loss"] < 0.5 < 1 < other["loss"] < 1.2  # a guess among three has ln 3 = 1.099
    # Two convolutions of 5×5 and three dense layers.
    dense = 16 * 4 * 4 * 120 + 120 * 84 + 84 * 3
    assert best["parameters"] == 6 * 25 + 16 * 6 * 25 + dense + (6 + 16 + 120 + 84 + 3)
    assert best["macs"] == 24 * 24 * 6 * 25 + 8 * 8 * 16 * 6 * 25 + dense
    with (run / "candidates.csv").open(newline="") as file:
        kept = list(csv.DictReader(file))
    assert [row["chosen"] for row in kept] == ["True", "False"]
    assert [{k: str(v) for k, v in row.items()} for row in rows] == [
        {k: v for k, v in row.items() if k != "chosen"} for row in kept
    ]
    assert {row["licence"] for row in rows} == {"not stated"}
    assert any(
        note.startswith("--model lenet5,lenet5: lenet5 with") and "the lowest loss" in note
        for note in listener.notes
    )
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert (config["model"], config["weights"]) == ("lenet5", str(files["trained"]))


def test_what_follows_is_the_run_of_the_network_by_name(chosen, files, folder_data, tmp_path):
    run, _ = chosen
    named = train_run(settings(folder_data, tmp_path, [files["trained"]]), SilentReporter())
    assert not (named / "candidates.csv").exists()
    one, other = (load_file(folder / "best.safetensors") for folder in (run, named))
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_the_loss_is_that_of_scikit_learn_out_of_fold(chosen, folder_data, files):
    run, listener = chosen
    network, checkpoint = load_checkpoint(run / "best.safetensors")
    with (run / "splits.csv").open(newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["split"] == "train"]
    images = [checkpoint.preprocess([(folder_data / row["path"]).read_bytes()]) for row in rows]
    kept = []
    network.fc3.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    with torch.no_grad():
        checkpoint.classifier(network)(torch.from_numpy(np.stack(images)))
    features = kept[0].double().numpy()
    labels = np.array([checkpoint.class_names.index(row["label"]) for row in rows])
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    losses = []
    for power in (-1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3):
        told = np.empty((len(labels), 3))
        for fitted, held_out in folds.split(features, labels):
            scaler = StandardScaler().fit(features[fitted])
            model = LogisticRegression(C=10**power / len(fitted), tol=1e-6, max_iter=3000)
            model.fit(scaler.transform(features[fitted]), labels[fitted])
            told[held_out] = model.predict_proba(scaler.transform(features[held_out]))
        losses.append(log_loss(labels, told))
    ((_, table),) = [table for table in listener.tables if table[0].startswith("networks")]
    assert table[0]["loss"] == pytest.approx(min(losses), abs=2e-4)


class BrokenOffError(Exception):
    """Ends a run as a kill would, after a row is written."""


def test_a_resumed_run_does_not_choose_again(chosen, files, folder_data, tmp_path, monkeypatch):
    weights = [files["blind"], files["trained"]]
    config = settings(folder_data, tmp_path, weights, freeze="none", epochs=1)

    def break_off(row):
        raise BrokenOffError

    with pytest.raises(BrokenOffError):
        train_run(config, SilentReporter(), break_off)
    (run,) = tmp_path.iterdir()
    before = (run / "candidates.csv").read_bytes()
    losses = [row.split(b",")[5] for row in before.splitlines()]
    again = (chosen[0] / "candidates.csv").read_bytes().splitlines()
    assert losses == [row.split(b",")[5] for row in again]  # the same choice, whatever follows it
    monkeypatch.setattr(recipe, "choose_network", None)
    resume_run(run, SilentReporter())
    assert (run / "report.json").exists()
    assert (run / "candidates.csv").read_bytes() == before


@pytest.mark.slow
def test_each_fold_chooses_on_its_own_images(files, folder_data, tmp_path, monkeypatch):
    looked_at = []
    take = judge_network.take_part

    def take_part(*given):
        looked_at.append(take(*given).samples.paths.tolist())
        return take(*given)

    monkeypatch.setattr(module, "take_part", take_part)
    weights = [files["blind"], files["trained"]]
    config = settings(folder_data, tmp_path / "runs", weights, test_fraction=0.0)
    trainers = cross_validate.Trainers(train_run, resume_run)
    world = {"world": World(), "started": time.monotonic()}
    folder = cross_validate.cross_validate(config, 2, Heard(), trainers, **world)
    assert folder.name.endswith("_lenet5-lenet5_2folds")
    for number, seen in enumerate(looked_at, start=1):
        with (folder / f"fold{number}" / "splits.csv").open(newline="") as table:
            split_of = {row["path"]: row["split"] for row in csv.DictReader(table)}
        assert sorted(seen) == sorted(path for path in split_of if split_of[path] == "train")
        assert (folder / f"fold{number}" / "candidates.csv").exists()
    assert yaml.safe_load((folder / "config.yaml").read_text())["model"] == "lenet5,lenet5"
    (folder / "report.json").unlink()
    shutil.rmtree(folder / "fold2")
    cross_validate.resume_folds(folder, Heard(), trainers, **world)
    fold = yaml.safe_load((folder / "fold2" / "config.yaml").read_text())
    assert (fold["model"], fold["weights"]) == ("lenet5", str(files["trained"]))
    assert len(looked_at) == 3
    assert (folder / "report.json").exists()


def made(name, losses, macs, parameters=1):
    config = FinetuneConfig(data="x", model=name)
    judgement = Judgement(1.0, np.array(losses), 0.5)
    return Candidate(config, parameters, macs, (28, 28), judgement, 1.0, "not stated")


def test_of_networks_that_are_about_as_good_the_cheapest_is_taken():
    noise = np.random.default_rng(0).normal(0, 1, 400)
    lowest = made("resnet50", 1 + noise, macs=400)
    # Standard error of the differences: 0.5 / sqrt(400) = 0.025.
    wobble = np.tile([-0.5, 0.5], 200)
    near = made("resnet34", 1.02 + noise + wobble, macs=300)
    nearer = made("resnet18", 1.02 + noise - wobble, macs=300, parameters=9)
    far = made("lenet5", 1.03 + noise + wobble, macs=1)
    best, why = module._choose([far, lowest, near], "auto")
    assert best is near
    assert why.startswith("the fewest multiply-adds of the 2 whose loss")
    assert "the lowest, " in why
    assert why.endswith("of resnet50")
    assert module._choose([lowest, far], "auto") == (
        lowest, f"the lowest loss on folds of train, {lowest.judgement.loss:.4f}"
    )  # fmt: skip
    # The same cost: the lower loss. Unknown cost: by parameters.
    lower = made("resnet152", nearer.judgement.losses - 0.001, macs=300, parameters=10)
    assert module._choose([lowest, nearer, lower], "auto")[0] is lower
    unknown = made("vgg11", near.judgement.losses, macs=None, parameters=9)
    assert module._choose([lower, unknown], "auto")[0] is unknown


def test_a_file_that_cannot_be_read_is_told_before_a_network_is_judged(
    files, folder_data, tmp_path, monkeypatch
):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(files["blind"].read_bytes()[:-100])
    monkeypatch.setattr(module, "judge_network", None)
    with pytest.raises(CnncliError, match=r"broken\.safetensors: not safetensors, or damaged"):
        choose(settings(folder_data, tmp_path, [files["trained"], broken]))


def test_groups_stay_together_and_val_and_test_are_not_looked_at(files, tmp_path, monkeypatch):
    paths = write_digits(tmp_path / "data", per_class=40)
    for number, path in enumerate(paths):
        path.rename(path.with_name(f"p{number // 4:03}_{path.name}"))
    looked_at = {}

    def judge(views, targets, num_classes, folds, weights):
        looked_at["folds"] = folds
        return Judgement(1.0, np.ones(len(folds)), 0.5)

    take = judge_network.take_part

    def take_part(*given):
        looked_at["part"] = take(*given)
        return looked_at["part"]

    monkeypatch.setattr(judge_network, "judge_strengths", judge)
    monkeypatch.setattr(module, "take_part", take_part)
    weights = [files["blind"], files["trained"]]
    config = settings(tmp_path / "data", tmp_path / "runs", weights, group_regex=r"(p\d+)_")
    run = train_run(config.model_copy(update={"head": "epochs", "epochs": 1}), SilentReporter())
    with (run / "splits.csv").open(newline="") as table:
        split_of = {row["path"]: row["split"] for row in csv.DictReader(table)}
    seen = looked_at["part"].samples.paths.tolist()
    assert sorted(seen) == sorted(path for path in split_of if split_of[path] == "train")
    folds_of = {}
    for path, fold in zip(seen, looked_at["folds"], strict=True):
        folds_of.setdefault(path.rpartition("/")[2][:4], set()).add(fold)
    assert {len(folds) for folds in folds_of.values()} == {1}
    assert len(set.union(*folds_of.values())) == 5


def test_weights_that_know_the_images_are_warned_of(run_dir, files, folder_data, tmp_path):
    heard = Heard()
    config = settings(folder_data, tmp_path, [run_dir, files["trained"]], model="auto")
    choose(config, heard)
    (warning,) = heard.warnings
    assert "trained on 66 of the 66 images that networks are judged on" in warning
    assert str(run_dir) in warning


def test_half_of_the_time_limit_is_for_the_choice(files, folder_data, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_TIME_SHARE", 0)
    heard = Heard()
    weights = [files["blind"], files["trained"]]
    found = choose(settings(folder_data, tmp_path, weights, time_limit="1h"), heard)
    assert [row["weights"] for row in found.rows] == [str(files["blind"])]
    (warning,) = heard.warnings
    assert warning.startswith("--time-limit 1h: half of the time is over; these networks")
    assert str(files["trained"]) in warning


def test_several_processes_are_refused(files, folder_data, tmp_path):
    config = settings(folder_data, tmp_path, [files["blind"], files["trained"]])
    several = Compute(torch.device("cpu"), "fp32", World(rank=1, size=2))
    with pytest.raises(CnncliError, match="one process judges the networks, and 2 train"):
        choose_network(config, several, Heard(), started=0)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Return torch's cache, which is empty; there is no network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)

    def refuse(*args, **kwargs):
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "create_connection", refuse)
    return folder


def listed(**given):
    values = {"data": "x", "model": "auto"} | given
    return [(one.model, one.weights) for one in list_candidates(FinetuneConfig(**values))]


def test_auto_means_the_weights_in_torchs_cache_the_cheapest_first(cache):
    for name, which in (("resnet50", 0), ("resnet50", 1), ("vit_b_16", 0), ("mobilenet_v2", 0)):
        (cache / MODELS[name].weights[which].file).touch()
    both = [("resnet50", "IMAGENET1K_V2"), ("resnet50", "IMAGENET1K_V1")]
    small, large = ("mobilenet_v2", "IMAGENET1K_V2"), ("vit_b_16", "IMAGENET1K_V1")
    assert listed() == listed(model="Auto") == [small, *both, large]
    assert listed(weights="imagenet1k_v1") == [both[1], large]
    assert listed(image_size="72") == [small, *both]  # ViT takes multiples of 16


def test_a_list_has_weights_for_all_or_for_each(cache, run_dir, files, tmp_path):
    one, other = str(run_dir), str(files["blind"])
    assert listed(model="ResNet-18, vgg11") == [
        ("resnet18", "IMAGENET1K_V1"), ("vgg11", "IMAGENET1K_V1")
    ]  # fmt: skip
    assert listed(model="resnet_small,lenet5", weights=f"{one},{other}") == [
        ("resnet_small", one), ("lenet5", other)
    ]  # fmt: skip
    assert listed(weights=one) == [("lenet5", one)]
    assert listed(model="cnn: conv 3,pool 2", weights=one) == [("cnn: conv 3,pool 2", one)]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "no pretrained weights are on this disk"),
        ({"weights": "none"}, "judged by their pretrained weights, and there are none"),
        ({"weights": "no.pth"}, "--weights no.pth: neither weights of torchvision nor a file"),
        ({"model": "resnet18,lenet6"}, "lenet6: no such model; did you mean lenet5"),
        ({"model": "auto,lenet5"}, "auto stands for all networks"),
        ({"model": "resnet18,lenet5"}, "lenet5 has no pretrained weights"),
        ({"model": "resnet18,lenet5", "weights": "a.pth"}, "1 file for 2 networks"),
        ({"weights": "default,no.pth"}, "--weights default: torchvision's weights stand beside"),
    ],
)
def test_what_cannot_be_a_candidate_is_refused(cache, given, why):
    with pytest.raises(CnncliError, match=why) as caught:
        listed(**given)
    assert "\n" not in str(caught.value)


def test_a_file_that_names_no_network_is_refused(files):
    with pytest.raises(CnncliError, match="does not say which network it is of"):
        listed(weights=str(files["blind"]))


def test_a_list_of_runs_by_name_means_the_same_runs_in_all_folds(files, run_dir, in_workspace):
    config = FinetuneConfig(data="x", model="auto", weights=f"{run_dir.name}, default")
    config, told = take_network(config)
    path = f"runs/{run_dir.name}"
    assert (config.model, config.weights) == ("auto", f"{path},default")
    assert told == f"--weights {run_dir.name}: {path}"


def test_commas_alone_are_no_list(cli, run_dir):
    result = cli("finetune", "--data", "x", "--model", ",", "--weights", run_dir)
    assert (result.code, result.error) == (2, "--model ,: no such model; see `cnncli models`")


def test_several_files_for_one_network_name_auto(cli, run_dir, files):
    weights = f"{run_dir},{files['trained']}"
    result = cli("finetune", "--data", "x", "--weights", weights)
    assert (result.code, result.out) == (2, "")
    assert result.error.endswith("several files; with --model auto the best one is taken")


def test_named_networks_that_cannot_be_had_are_one_line(cache, cli, folder_data):
    result = cli("finetune", "--data", folder_data, "--model", "resnet18,vgg11")
    assert (result.code, result.out) == (2, "")
    assert "put resnet18-f37072fd.pth" in result.err.splitlines()[-1]
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (("finetune",), "--model auto: no pretrained weights are on this disk"),
        (("train",), "--model auto: networks are judged by their pretrained weights"),
        (("find-lr",), "--model auto: `cnncli finetune` takes the best of several"),
        (("cross-validate", "--finetune"), "--model auto: "),
        (("suspect-labels", "--finetune"), "--model auto: "),
    ],
)
def test_no_weights_or_no_choice_here_is_one_line(cache, cli, folder_data, command, why):
    result = cli(*command, "--data", folder_data, "--model", "auto")
    assert (result.code, result.out) == (2, "")
    assert result.error.startswith(why)


def test_print_config_names_the_networks(cli, run_dir, files):
    weights = f"{run_dir},{files['trained']}"
    result = cli("finetune", "--data", "x", "--model", "auto", "--weights", weights,
                 "--print-config")  # fmt: skip
    assert result.code == 0, result.err
    assert result.out.startswith("# network: the best of lenet5 (")
    assert yaml.safe_load(result.out)["model"] == "auto"


@pytest.mark.slow
def test_torchvisions_networks_out_of_the_cache(cache, cli, folder_data, tmp_path, monkeypatch):
    monkeypatch.setattr("cnncli.models.pretrained.download._check_cached", lambda weights: None)
    for seed, name in enumerate(("squeezenet1_1", "googlenet")):
        torch.manual_seed(seed)
        network = build_network(name, num_classes=1000, in_channels=3, image_size=(224, 224))
        torch.save(network.state_dict(), cache / MODELS[name].weights[0].file)
    result = cli("finetune", "--data", folder_data, "--model", "auto", "--image-size", "64",
                 "--freeze", "backbone", "--device", "cpu", "--output", tmp_path / "r")  # fmt: skip
    assert result.code == 0, result.err
    (run,) = (tmp_path / "r").iterdir()
    with (run / "candidates.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["network"] for row in rows} == {"squeezenet1_1", "googlenet"}
    (winner,) = [row for row in rows if row["chosen"] == "True"]
    assert run.name.endswith(winner["network"])
    assert {row["size"] for row in rows} == {"64"}
