"""torchvision's weights: from torch's cache, or downloaded into it."""

from __future__ import annotations

import hashlib
import re
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError

from cnncli.connection import why_unreachable
from cnncli.errors import CnncliError
from cnncli.models.pretrained.tensor_file import DAMAGED
from cnncli.models.tables.torchvision import WeightsEntry


def download_weights(model: str, weights: WeightsEntry) -> dict[str, Any]:
    """Return the state dict of torchvision's weights, and download it if it is not in the cache.

    Args:
        model: Name of the model in torchvision.
        weights: Which of its weights.

    Raises:
        CnncliError: If the weights are not in the cache and cannot be downloaded; the message
            names the file, its folder and what to do instead. Or if the file in the cache is
            damaged, or the installed torchvision does not have these weights.
    """
    cached = weights.path.is_file()
    if not cached and (reason := why_unreachable(weights.url)):
        raise _missing(weights, reason)
    if cached:
        _check_cached(weights)
    import torchvision

    try:
        enum = torchvision.models.get_model_weights(model)[weights.name]
    except (ValueError, KeyError):
        raise CnncliError(
            f"--weights {weights.name}: torchvision {torchvision.__version__} does not have them "
            f"for {model}; upgrade torchvision"
        ) from None
    try:
        state: dict[str, Any] = enum.get_state_dict(
            progress=not cached, check_hash=True, map_location="cpu", weights_only=True
        )
    except HTTPError as error:
        raise _missing(weights, f"the server answers {error.code}") from None
    except (HTTPException, *DAMAGED) as error:
        if weights.path.is_file():
            raise CnncliError(
                f"--weights {weights.name}: {weights.path} is damaged; delete it, and it is "
                "downloaded anew"
            ) from None
        raise _missing(weights, str(error).split("\n")[0]) from None
    return state


def _check_cached(weights: WeightsEntry) -> None:
    """Compare a file in the cache with the hash that its name carries, as a download is compared.

    Raises:
        CnncliError: If it is another file.
    """
    promised = _HASH.search(weights.file)
    if promised is None:
        return
    with weights.path.open("rb") as file:
        digest = hashlib.sha256()
        while data := file.read(_CHUNK):
            digest.update(data)
    found = digest.hexdigest()[: len(promised[1])]
    if found != promised[1]:
        raise CnncliError(
            f"--weights {weights.name}: {weights.path} is damaged or another file: its SHA-256 "
            f"begins with {found}, and by its name with {promised[1]}; delete it, and it is "
            "downloaded anew"
        )


# As torch.hub names its files: resnet18-f37072fd.pth.
_HASH = re.compile(r"-([a-f0-9]{8,})\.")
_CHUNK = 2**20


def _missing(weights: WeightsEntry, reason: str) -> CnncliError:
    return CnncliError(
        f"--weights {weights.name}: not on this machine, and not to be had ({reason}): put "
        f"{weights.file} (from {weights.url}) into {weights.path.parent}, or use --weights none or "
        "--weights PATH"
    )
