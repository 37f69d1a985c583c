"""The bare job that `cnncli export` is measured against: torch's exporter, and nothing compared.

``python tests/benchmarks/bare_export.py FILE.onnx`` writes a ResNet-18 at 224 pixels.
"""

import sys

import torch
from torchvision.models import resnet18


def main():
    network = resnet18(num_classes=6).eval()
    program = torch.onnx.export(
        network,
        (torch.zeros(2, 3, 224, 224),),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("N")},),
        verbose=False,
    )
    program.save(sys.argv[1])


if __name__ == "__main__":
    main()
