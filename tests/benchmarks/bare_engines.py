"""The bare job of `bare_predict.py` with other engines: torch on a device, or OpenVINO.

``python tests/benchmarks/bare_engines.py openvino|openvino-bf16|cuda|cpu RUN FOLDER|IMAGE`` decodes
in threads, runs the network of the run, prints, and checks nothing. torch computes in float32, as
``cnncli predict --device cuda`` does it.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from side_by_side import need

BATCH = 32


def load_openvino(run, precision):
    """Return the size (H, W, C) of the images, and what answers a batch (N, H, W, C) of uint8."""
    need("openvino")
    import openvino

    core = openvino.Core()
    model = core.read_model(str(run / "best.onnx"))
    how = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(model, "CPU", how).create_infer_request()
    size = [side.get_length() for side in list(model.inputs[0].get_partial_shape())[1:]]

    def answer(images):
        request.infer({0: images})
        return request.get_output_tensor(0).data

    return size, answer


def load_torch(run, name):
    """Return the size (H, W, C) of the images, and what answers a batch (N, H, W, C) of uint8."""
    import torch

    from cnncli.training.checkpoint import load_checkpoint

    device = torch.device(name)
    network, checkpoint = load_checkpoint(run / "best.safetensors")
    network = network.eval().to(device, memory_format=torch.channels_last)
    pre = checkpoint.preprocess
    mean, std = (torch.tensor(one, device=device)[:, None, None] for one in (pre.mean, pre.std))

    def answer(images):
        with torch.inference_mode():
            batch = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)
            return network((batch.float() / 255 - mean) / std).softmax(1).cpu().numpy()

    return (pre.height, pre.width, pre.channels), answer


def main():
    engine, run, given = sys.argv[1:]
    if engine.startswith("openvino"):
        precision = "bf16" if engine.endswith("bf16") else "f32"
        (height, width, channels), answer = load_openvino(Path(run), precision)
    else:
        (height, width, channels), answer = load_torch(Path(run), engine)
    files = sorted(entry.path for entry in os.scandir(given)) if os.path.isdir(given) else [given]
    how = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_REDUCED_COLOR_4
    cv2.setNumThreads(1)

    def read(path):
        pixels = cv2.imdecode(np.fromfile(path, np.uint8), how)
        if pixels.shape[:2] != (height, width):
            pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
        return pixels[..., None] if channels == 1 else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        images = pool.map(read, files)
        for start in range(0, len(files), BATCH):
            paths = files[start : start + BATCH]
            answers = answer(np.stack(list(islice(images, len(paths)))))
            for path, row in zip(paths, answers, strict=True):
                print(f"{path},{int(row.argmax())},{float(row.max()):.6f},")


if __name__ == "__main__":
    main()
