"""The digest in a checkpoint, by which damage to its file is noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch

from cnncli.errors import CnncliError

KEY = "digest"


def compute_digest(tensors: Mapping[str, torch.Tensor], meta: Mapping[str, Any]) -> str:
    """Return a digest of all that a checkpoint holds: 64 hex digits (BLAKE2b, 256 bits).

    Args:
        tensors: Tensors on the CPU by name; of each, its name, type, shape and bytes count.
        meta: Metadata that JSON can hold; the entry of the digest itself does not count.
    """
    rest = {key: value for key, value in meta.items() if key != KEY}
    text = json.dumps(json.loads(json.dumps(rest)), sort_keys=True)  # as it is read again
    digest = hashlib.blake2b(text.encode(), digest_size=32)
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def check_digest(tensors: Mapping[str, torch.Tensor], meta: Mapping[str, Any], where: str) -> None:
    """Compare a checkpoint with the digest in its metadata; older ones have none.

    Args:
        tensors: Tensors by name.
        meta: The metadata.
        where: Flag and path, for the message.

    Raises:
        CnncliError: If the digest is of something else.
    """
    if KEY in meta and meta[KEY] != compute_digest(tensors, meta):
        raise CnncliError(
            f"{where}: damaged: what is in it is not what was written (another digest); copy it "
            "again from where it is whole, or train again"
        )
