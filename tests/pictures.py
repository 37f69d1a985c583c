"""Pictures that tests draw, and the copies that are found among them."""

import cv2
import numpy as np

from cnncli.audit.collect import collect_facts
from cnncli.audit.duplicates import find_duplicates
from cnncli.data.samples import NO_SPLIT, Samples, text_array


def make_picture(seed, height=160, width=200, shading=None):
    """Return a grey picture whose detail falls off with frequency, as in photos (1/f)."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    spectrum = np.fft.fft2(rng.normal(size=(height, width))) / np.maximum(frequency, 0.01)
    picture = np.real(np.fft.ifft2(spectrum))
    picture = (picture - picture.mean()) / picture.std()
    if shading is not None:
        picture = 0.35 * picture + shading
    return np.clip(128 + 45 * picture, 0, 255).astype(np.uint8)


def encode(picture, kind=".png", *options):
    return bytes(cv2.imencode(kind, picture, list(options))[1])


def jpeg(quality):
    return lambda p: encode(p, ".jpg", cv2.IMWRITE_JPEG_QUALITY, quality)


class Memory:
    """A source of files that lie nowhere."""

    def __init__(self, files):
        self.files = files

    def read(self, index):
        return (self.files[index],)

    def size(self, index):
        return len(self.files[index])


def samples_of(source, count, targets=None, splits=None):
    return Samples(
        source=source,
        paths=text_array([f"{index:05d}.png" for index in range(count)]),
        targets=np.zeros(count, int) if targets is None else np.array(targets),
        class_names=("a", "b"),
        splits=np.full(count, NO_SPLIT, np.int8) if splits is None else np.array(splits, np.int8),
    )


def groups_of(files):
    samples = samples_of(Memory(files), len(files))
    facts = collect_facts(samples, threads=2, cache_folder=None)
    assert all(facts.readable)
    return find_duplicates(facts, threads=2).groups
