"""Weights of a run whose training images the new run would judge by."""

import csv

import pytest
from helpers import Heard, train

from cnncli.config import FinetuneConfig
from cnncli.recipes.train import train_run


@pytest.fixture(scope="module")
def first(tmp_path_factory, folder_data):
    return train(tmp_path_factory.mktemp("first"), data=str(folder_data), epochs=1)


def read_splits(run):
    with (run / "splits.csv").open(newline="", encoding="utf-8") as file:
        return {row["path"]: row["split"] for row in csv.DictReader(file)}


def finetune(first, data, tmp_path, **settings):
    listener = Heard()
    config = FinetuneConfig(
        data=str(data), model="lenet5", weights=str(first), output=str(tmp_path),
        freeze="none", epochs=1, device="cpu", precision="fp32", workers=0, **settings,
    )  # fmt: skip
    run = train_run(config, listener)
    return run, [text for text in listener.warnings if "their run was trained on" in text]


def test_another_draw_is_told(first, folder_data, tmp_path):
    run, said = finetune(first, folder_data, tmp_path, seed=1)
    before, now = read_splits(first), read_splits(run)
    told = []
    for split in ("val", "test"):
        chosen = [path for path, value in now.items() if value == split]
        trained = sum(before[path] == "train" for path in chosen)
        assert trained
        told.append(f"{trained} of the {len(chosen)} {split} images")
    (text,) = said
    assert " and ".join(told) in text
    assert f"--splits {first / 'splits.csv'} keeps the run's splits" in text


def test_the_same_draw_is_no_reuse(first, folder_data, tmp_path):
    assert finetune(first, folder_data, tmp_path)[1] == []
    path = str(first / "splits.csv")
    assert finetune(first, folder_data, tmp_path, seed=1, splits=path)[1] == []
