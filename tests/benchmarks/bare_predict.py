"""The bare job that `cnncli predict` is measured against: decode in threads, run the engine, print.

``python tests/benchmarks/bare_predict.py MODEL.onnx FOLDER|IMAGE`` does nothing else: no check of a
file, of a header or of an answer. Photos are decoded at a quarter of their size, as cnncli does it.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import onnxruntime

BATCH = 32


def main():
    model, given = sys.argv[1:]
    cores = len(os.sched_getaffinity(0))
    cv2.setNumThreads(1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    _, height, width, channels = session.get_inputs()[0].shape
    files = sorted(entry.path for entry in os.scandir(given)) if os.path.isdir(given) else [given]
    how = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_REDUCED_COLOR_4

    def read(path):
        pixels = cv2.imdecode(np.fromfile(path, np.uint8), how)
        if pixels.shape[:2] != (height, width):
            pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
        return pixels[..., None] if channels == 1 else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)

    def read_all(paths):
        return np.stack([read(path) for path in paths])

    # Large images one by one, small ones a batch at a time: each is the faster way.
    with ThreadPoolExecutor(cores) as pool:
        batches = [files[place : place + BATCH] for place in range(0, len(files), BATCH)]
        if channels == 1:
            loaded = pool.map(read_all, batches)
        else:
            images = pool.map(read, files)
            loaded = (np.stack([next(images) for _ in batch]) for batch in batches)
        for paths, images_of_batch in zip(batches, loaded, strict=True):
            (answers,) = session.run(None, {"image": images_of_batch})
            for path, row in zip(paths, answers, strict=True):
                print(f"{path},{row.argmax()},{row.max():.6f},")


if __name__ == "__main__":
    main()
