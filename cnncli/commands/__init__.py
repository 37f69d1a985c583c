"""One file per command: parse, call one recipe, print."""

from __future__ import annotations

from collections.abc import Callable

from cnncli.commands.conv_size import conv_size
from cnncli.commands.evaluate import evaluate
from cnncli.commands.predict import predict
from cnncli.commands.train import train

TABLE: dict[str, Callable[..., None]] = {
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "conv-size": conv_size,
}
