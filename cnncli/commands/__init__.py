"""One file per command: parse, call one recipe, print."""

from __future__ import annotations

from collections.abc import Callable

from cnncli.commands.augment import augment
from cnncli.commands.check_data import check_data
from cnncli.commands.compare import compare
from cnncli.commands.conv_size import conv_size
from cnncli.commands.evaluate import evaluate
from cnncli.commands.find_lr import find_lr
from cnncli.commands.finetune import finetune
from cnncli.commands.inspect_layers import inspect_layers
from cnncli.commands.models import models
from cnncli.commands.predict import predict
from cnncli.commands.sample_data import sample_data
from cnncli.commands.split import split
from cnncli.commands.train import train
from cnncli.commands.tune import tune

TABLE: dict[str, Callable[..., None]] = {
    "train": train,
    "finetune": finetune,
    "evaluate": evaluate,
    "predict": predict,
    "compare": compare,
    "tune": tune,
    "find-lr": find_lr,
    "check-data": check_data,
    "split": split,
    "sample-data": sample_data,
    "augment": augment,
    "models": models,
    "inspect-layers": inspect_layers,
    "conv-size": conv_size,
}
