"""An exported network as OpenVINO's two files, ``.xml`` and ``.bin``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from cnncli.arrays import Array
from cnncli.engine.metadata import INPUT, OUTPUT, PREFIX
from cnncli.engine.onnx_file import DIGEST_KEY
from cnncli.errors import RUNTIME_FAILURE, CnncliError

_INSTALL = "pip install 'cnncli[openvino]'"


class OpenvinoModel:
    """A network that OpenVINO runs on the CPU, in float32."""

    def __init__(self, data: bytes) -> None:
        """Convert an ONNX file.

        Its converter is not asked, as it would report to Intel that it was used; the runtime reads
        ONNX itself.

        Args:
            data: The content of the ONNX file; its metadata are taken over.

        Raises:
            CnncliError: If OpenVINO is not installed, or cannot read the file.
        """
        openvino = load_openvino()
        core = openvino.Core()
        try:
            self._model: Any = core.read_model(data)
            compiled = core.compile_model(
                self._model,
                "CPU",
                {"INFERENCE_PRECISION_HINT": "f32", "EXECUTION_MODE_HINT": "ACCURACY"},
            )
        except RuntimeError as error:
            told = " ".join(str(error).split())[:200]
            raise CnncliError(
                f"OpenVINO cannot read the exported network: {told}", exit_code=RUNTIME_FAILURE
            ) from error
        for key, text in _read_props(data).items():
            self._model.set_rt_info(text, ["cnncli", key.removeprefix(PREFIX)])
        self._request = compiled.create_infer_request()

    def __call__(self, images: Array) -> Array:
        """Return the probabilities (N, K) of images (N, H, W, C)."""
        self._request.infer({INPUT: images})
        return np.array(self._request.get_tensor(OUTPUT).data)

    def save(self, path: Path) -> None:
        """Write the ``.xml`` and beside it the ``.bin``, in float32.

        Raises:
            CnncliError: If a file cannot be written. An earlier pair stays as it is, or its
                ``.xml`` is gone; the files of two networks are never left side by side.
        """
        try:
            with tempfile.TemporaryDirectory(prefix=f".{path.stem}-", dir=path.parent) as folder:
                part = Path(folder) / path.name
                load_openvino().save_model(self._model, part, compress_to_fp16=False)
                path.unlink(missing_ok=True)
                for file in (part.with_suffix(".bin"), part):
                    file.replace(path.with_name(file.name))
        except (OSError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise CnncliError(
                f"{path}: cannot be written: {reason}", exit_code=RUNTIME_FAILURE
            ) from error


def _read_props(data: bytes) -> dict[str, str]:
    """Return the metadata of an ONNX file; the digest is of that file alone."""
    import onnx

    model = onnx.load_from_string(data)
    return {one.key: one.value for one in model.metadata_props if one.key != DIGEST_KEY}


def load_openvino() -> Any:
    """Return OpenVINO.

    Raises:
        CnncliError: If it is not installed.
    """
    try:
        import openvino
    except ImportError:
        raise CnncliError(f"--format openvino: needs OpenVINO; {_INSTALL}") from None
    return openvino
