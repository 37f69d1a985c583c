"""Digests in ``best.safetensors`` and ``last.pt``, by which damage to them is noticed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from cnncli.errors import CnncliError

KEY = "digest"
# What the comment at the end of ``last.pt`` begins with; a digest of all before it follows. The
# file is a ZIP archive, which ends with a comment and before it the comment's length.
_MARK = b"cnncli blake2b "
LENGTH_BYTES = 2
# So many bytes are read at a time.
_CHUNK = 1 << 20


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


def check_digest(tensors: Mapping[str, torch.Tensor], meta: Mapping[str, Any], where: str) -> str:
    """Compare a checkpoint with the digest in its metadata; older ones have none.

    Args:
        tensors: Tensors by name.
        meta: The metadata.
        where: Flag and path, for the message.

    Returns:
        The digest of what is in the checkpoint.

    Raises:
        CnncliError: If the digest in the metadata is of something else.
    """
    digest = compute_digest(tensors, meta)
    if KEY in meta and meta[KEY] != digest:
        raise CnncliError(
            f"{where}: damaged: what is in it is not what was written (another digest); copy it "
            "again from where it is whole, or train again"
        )
    return digest


def archive_end(digest: str) -> bytes:
    """Return the end of an archive with a digest in its comment, the comment's length included."""
    comment = _MARK + digest.encode()
    return len(comment).to_bytes(LENGTH_BYTES, "little") + comment


def is_whole(path: Path) -> bool:
    """Return whether a file is as it was written, by the digest at its end; older ones have none.

    Raises:
        OSError: If the file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=32)
    size = len(_MARK) + 2 * digest.digest_size
    with path.open("rb") as file:
        length = max(0, file.seek(0, os.SEEK_END) - size)
        file.seek(length)
        comment = file.read()
        if not comment.startswith(_MARK):
            return True
        file.seek(0)
        rest = length - LENGTH_BYTES
        while rest > 0 and (data := file.read(min(rest, _CHUNK))):
            digest.update(data)
            rest -= len(data)
    digest.update(bytes(LENGTH_BYTES))  # as torch wrote the length of the comment
    return comment == _MARK + digest.hexdigest().encode()
