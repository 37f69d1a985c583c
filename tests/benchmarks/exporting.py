"""Export one network of each family, and print a table: size of the file, parity, times.

    python tests/benchmarks/exporting.py                 # the smallest of each family
    python tests/benchmarks/exporting.py resnet18 swin_t # these

The weights are random, with heads that tell images apart; ten classes; one thread. Blocks that are
added to their input are scaled to a fifth where random ones amplify rounding from block to block.
"""

import copy
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from helpers import smallest_of_each_family

from cnncli.engine.metadata import MOST_APART, ModelMetadata
from cnncli.export.golden import draw_pictures
from cnncli.export.graph import build_graph, to_bytes
from cnncli.export.parity import OnnxModel, compare_networks
from cnncli.images.preprocess import Preprocess
from cnncli.models.build import Classifier, build_network
from cnncli.models.head import main_logits
from cnncli.models.registry import MODELS, find_model
from cnncli.models.tables.custom import CUSTOM

_CLASSES = 10
# Of 40 blocks that are added to their input, each as large as the sum of all before it.
_SCALED, _SCALE = ("efficientnet_v2_s",), 0.2


def build(name):
    """Return a network with random weights, and what it takes."""
    entry = find_model(name)
    channels, side = CUSTOM[name].example if name in CUSTOM else (3, 224)
    side = entry.image_size or side
    pre = Preprocess(side, side, channels, mean=(0.5,) * channels, std=(0.25,) * channels)
    torch.manual_seed(0)
    network = build_network(
        name, num_classes=_CLASSES, in_channels=channels, image_size=(side, side)
    )
    with torch.no_grad():
        for layer in network.modules():  # some heads begin as 0: all images would be answered alike
            if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d) and not layer.weight.any():
                torch.nn.init.normal_(layer.weight, std=0.05)
        for block in network.modules():
            if name in _SCALED and getattr(block, "use_res_connect", False):
                norms = [one for one in block.modules() if isinstance(one, torch.nn.BatchNorm2d)]
                norms[-1].weight *= _SCALE
        noise = torch.randn(4, channels, side, side)
        for layer in network.train().modules():  # batch norms learn what the layers give
            if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
                layer.momentum = None
        network(noise)
        classifier = Classifier(network, pre.mean, pre.std, 255.0).eval()
        pictures = [pre(files) for files in draw_pictures(pre)]
        logits = classifier.logits(torch.from_numpy(np.stack(pictures)))
        head = [
            one for one in network.modules() if isinstance(one, torch.nn.Linear | torch.nn.Conv2d)
        ]
        head[-1].weight *= min(2 / logits.std(dim=0).max(), 5 / logits.abs().max())
    return classifier, pre


def measure(name):
    """Return the cells of a network's row."""
    classifier, pre = build(name)
    arrays = [pre(files) for files in draw_pictures(pre)]
    begun = time.process_time()
    model = build_graph(classifier, arrays[0], name, "trace")
    seconds = time.process_time() - begun
    names = tuple(map(str, range(_CLASSES)))
    data = to_bytes(model, ModelMetadata(names, pre, model=name).to_props())

    def torch_answer(images):
        with torch.inference_mode():
            return classifier(torch.from_numpy(images)).double().numpy()

    exact = copy.deepcopy(classifier.network).double()

    def exact_answer(images):
        with torch.inference_mode():
            normal = classifier.normalise(torch.from_numpy(images)).double()
            return main_logits(exact(normal)).softmax(dim=1).numpy()

    onnx_answer = OnnxModel(data, 1)
    images = [array[:, ::-1] if turn else array for turn in range(4) for array in arrays][:10]
    parity = compare_networks(torch_answer, onnx_answer, images, seconds=99)
    spread = float(torch_answer(np.stack(images)).std(axis=0).max())
    assert spread > 1e-3, (name, spread)  # or the comparison would say nothing
    # A network of random weights may amplify rounding: then torch's own float32 is as far away from
    # float64 as the exported network is.
    own = compare_networks(exact_answer, torch_answer, images, seconds=99)
    assert parity.apart <= max(MOST_APART["float32"], 5 * own.apart), (name, parity, own)
    one = images[0][None].copy()
    times = []
    for answer in (torch_answer, onnx_answer):
        answer(one)
        begun = time.process_time()
        answer(one)
        times.append(time.process_time() - begun)
    return (
        MODELS[name].family,
        f"`{name}`",
        f"{pre.height} × {pre.width} × {pre.channels}",
        f"{len(data) / 1e6:.1f}",
        f"{parity.apart:.0e}",
        f"{own.apart:.0e}",
        f"{seconds:.1f}",
        *(f"{1000 * value:.0f}" for value in times),
    )


def print_row(name):
    """Print a network's row; one that fails is told on stderr, and the others go on."""
    try:
        print(f"| {' | '.join(measure(name))} |", flush=True)
    except AssertionError as error:
        print(f"{name}: {error}", file=sys.stderr, flush=True)


def main():
    columns = ("Family", "Network", "Input", "MB", "from torch", "torch from float64")
    columns += ("export, s", "torch, ms", "ONNX Runtime, ms")
    print(f"| {' | '.join(columns)} |")
    print(f"| {' | '.join(['---'] * len(columns))} |")
    for name in sys.argv[1:] or smallest_of_each_family():
        print_row(name)


if __name__ == "__main__":
    main()
