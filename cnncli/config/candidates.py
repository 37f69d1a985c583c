"""The networks that ``--model`` leaves to choose from, each as the settings of a run of its own."""

from __future__ import annotations

from collections.abc import Sequence

from cnncli.choices import parse_size
from cnncli.config.network_of_weights import DEFAULT, are_names, split_weights, take_network
from cnncli.config.settings import RunConfig
from cnncli.errors import CnncliError, count_of
from cnncli.files import expand_path
from cnncli.models.registry import (
    AUTO,
    DEFAULT_MODEL,
    MODELS,
    ModelEntry,
    find_model,
    names_several,
    split_names,
)
from cnncli.models.tables.torchvision import weights_dir


def list_candidates(config: RunConfig) -> list[RunConfig]:
    """Return the settings with each of the networks that ``--model`` names, and its weights.

    A list of names, ``resnet18,lenet5``, has one ``--weights`` for all, or one for each, joined by
    commas. ``auto`` means the weights in torch's cache, or the runs and files that ``--weights``
    names, if they say of which network they are.

    Args:
        config: The settings; ``--model`` may name one network, and then they are returned.

    Raises:
        CnncliError: If a name or file is wrong, or if ``auto`` finds no weights.
    """
    if not names_several(config.model):
        return [config]
    where = f"--model {config.model}"
    if config.weights == "none":
        raise CnncliError(
            f"{where}: networks are judged by their pretrained weights, and there are none here; "
            "use `cnncli finetune`, or name one network"
        )
    names, weights = split_names(config.model), split_weights(config.weights)
    if len(names) > 1:
        if AUTO in names:
            raise CnncliError(
                f"{where}: {AUTO} stands for all networks whose weights are on this disk, and is "
                "no part of a list; give it alone, or only names"
            )
        weights = weights * len(names) if are_names(weights) and len(weights) == 1 else weights
        if len(weights) != len(names):
            raise CnncliError(
                f"--weights {config.weights}: {count_of(len(weights), 'file')} for "
                f"{len(names)} networks; name one for each, in the order of {where}"
            )
        pairs = zip(names, weights, strict=True)
        found = [_name(config, name, chosen) for name, chosen in pairs]
    elif are_names(weights):
        found = _list_on_disk(config, weights)
    else:
        found = [_take(config, chosen) for chosen in weights]
    return list({(one.model, one.weights): one for one in found}.values())


def _name(config: RunConfig, model: str, weights: str) -> RunConfig:
    """Return the settings with a network of that name and its weights."""
    entry = find_model(model)
    if are_names([weights]):
        weights = entry.find_weights(weights).name
    one = config.model_copy(update={"model": entry.name, "weights": weights})
    return take_network(one)[0]


def _take(config: RunConfig, weights: str) -> RunConfig:
    """Return the settings with a file of weights, and the network that it says it is of."""
    one = config.model_copy(update={"model": DEFAULT_MODEL, "weights": weights})
    one.model_fields_set.discard("model")
    one, _ = take_network(one)
    where = f"--weights {weights}"
    if are_names([weights]):
        raise CnncliError(
            f"{where}: torchvision's weights stand beside files, so the networks are named too: "
            "--model NAME,NAME, in the order of --weights"
        )
    if not expand_path(one.weights).exists():
        raise CnncliError(f"{where}: neither weights of torchvision nor a file or a run")
    if "model" not in one.model_fields_set:
        raise CnncliError(
            f"{where}: does not say which network it is of, as the best.safetensors of a run does; "
            "name it: --model NAME, or NAME,NAME for several files in their order"
        )
    return one


def _list_on_disk(config: RunConfig, names: Sequence[str]) -> list[RunConfig]:
    """Return the settings with each of torchvision's weights in torch's cache, by their cost."""
    wanted = {name.lower() for name in names}
    pairs = [
        (entry.name, weights)
        for entry in MODELS.values()
        for weights in entry.weights
        if wanted & {DEFAULT, weights.name.lower()} and weights.path.is_file()
    ]
    found = [
        config.model_copy(update={"model": model, "weights": weights.name})
        for model, weights in sorted(pairs, key=lambda pair: pair[1].macs)
    ]
    if not found:
        raise CnncliError(
            f"--model {AUTO}: no pretrained weights are on this disk ({weights_dir()}); name "
            "networks, and theirs are downloaded (--model resnet18,mobilenet_v3_small), or files "
            "(--weights A.safetensors,B.safetensors)"
        )
    fitting = [one for one in found if _takes_size(find_model(one.model), one.image_size)]
    return fitting or found


def _takes_size(entry: ModelEntry, image_size: str | None) -> bool:
    try:
        if image_size is not None:
            entry.check_image_size(parse_size(image_size))
    except CnncliError:
        return False
    return True
