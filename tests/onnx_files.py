"""ONNX files of trained runs, written by torch's own exporter and not by our export."""

import warnings

import torch

from cnncli.engine.metadata import GoldenSample, ModelMetadata
from cnncli.engine.onnx_file import DIGEST_KEY, compute_digest
from cnncli.training.checkpoint import load_checkpoint


class Tempered(torch.nn.Module):
    """A classifier whose logits are divided by a temperature."""

    def __init__(self, classifier, temperature):
        super().__init__()
        self.classifier, self.temperature = classifier, temperature

    def forward(self, image):
        return (self.classifier.logits(image).float() / self.temperature).softmax(dim=1)


def write_onnx(checkpoint, path, *, decision=None, change=None, golden=(), **replaced):
    """Export a checkpoint; ``change`` may edit the model before its digest is taken."""
    import onnx

    network, read = load_checkpoint(checkpoint)
    pre = read.preprocess
    temperature = (decision or {}).get("temperature") or 1.0
    model = Tempered(read.classifier(network).eval(), temperature)
    example = torch.zeros(2, *pre.image_size, pre.channels, dtype=getattr(torch, pre.dtype))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the older exporter is thirty times faster
        torch.onnx.export(
            model,
            (example,),
            str(path),
            input_names=["image"],
            output_names=["probabilities"],
            dynamic_axes={"image": {0: "N"}, "probabilities": {0: "N"}},
            dynamo=False,
        )
    values = {
        "class_names": read.class_names,
        "preprocess": pre,
        "weights_digest": read.digest,
        "decision": decision,
        "golden": golden,
        "model": read.model,
        "version": "1",
    }
    metadata = ModelMetadata(**{**values, **replaced})
    proto = onnx.load(path)
    for key, text in metadata.to_props().items():
        proto.metadata_props.add(key=key, value=text)
    if change is not None:
        change(proto)
    save_with_digest(proto, path)
    return path


def save_with_digest(proto, path):
    digest = compute_digest(proto.SerializeToString())
    proto.metadata_props.add(key=DIGEST_KEY, value=digest)
    path.write_bytes(proto.SerializeToString())


def golden_of(checkpoint, files):
    """Return a golden sample of an image's files, answered by torch."""
    network, read = load_checkpoint(checkpoint)
    array = read.preprocess(files)
    with torch.inference_mode():
        answer = read.classifier(network).eval()(torch.from_numpy(array[None]))[0]
    return GoldenSample(tuple(files), array, answer.double().numpy())
