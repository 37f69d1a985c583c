"""A table of torchvision's labelled data sets: their splits, and where a class keeps its labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cnncli.choices import Split

_DIGITS = tuple("0123456789")
# Arguments of the classes that have ``train=True`` and ``train=False``.
_TRAIN_FLAG: Mapping[Split | None, Mapping[str, Any]] = {
    "train": {"train": True},
    "test": {"train": False},
}


def _parts(**names: str) -> Mapping[Split | None, Mapping[str, Any]]:
    """Return the arguments of a class that has ``split=NAME``, given the name of each split."""
    keys: tuple[Split, ...] = ("train", "val", "test")
    return {key: {"split": names[key]} for key in keys if key in names}


@dataclass(frozen=True)
class TorchvisionSet:
    """One labelled data set of torchvision.

    Attributes:
        kind: Name of torchvision's class.
        form: How the class keeps its images: ``arrays`` as one array, ``files`` as a list of paths
            and a list of labels, ``samples`` as a list of pairs of both, ``categories`` as numbers
            from which the paths follow.
        lies_in: File or folder below the root of all data sets that exists if the set is there.
        url: Address that the data set is downloaded from, or can be.
        parts: For each split: the arguments of the class. The split None holds all images of a set
            that has no splits.
        class_names: Names of the classes, if torchvision's class does not know them.
        axes: Order in which the axes of one image, as the class keeps it, become (H, W) or
            (H, W, C); None if they are in this order.
    """

    kind: str
    form: Literal["arrays", "files", "samples", "categories"]
    lies_in: str
    url: str
    parts: Mapping[Split | None, Mapping[str, Any]] = field(default_factory=lambda: _TRAIN_FLAG)
    class_names: tuple[str, ...] = ()
    axes: tuple[int, ...] | None = None


def _emnist(split: str) -> TorchvisionSet:
    parts: dict[Split | None, Mapping[str, Any]] = {
        key: {"split": split, **flag} for key, flag in _TRAIN_FLAG.items()
    }
    url = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
    # EMNIST's images are transposed on the disk.
    return TorchvisionSet("EMNIST", "arrays", "EMNIST/raw", url, parts, axes=(1, 0))


_CHANNELS_FIRST = (1, 2, 0)
_VGG = "https://www.robots.ox.ac.uk/~vgg/data"

SETS: Mapping[str, TorchvisionSet] = {
    "MNIST": TorchvisionSet(
        "MNIST", "arrays", "MNIST/raw", "https://ossci-datasets.s3.amazonaws.com/mnist/"
    ),
    "FashionMNIST": TorchvisionSet(
        "FashionMNIST",
        "arrays",
        "FashionMNIST/raw",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    "KMNIST": TorchvisionSet(
        "KMNIST", "arrays", "KMNIST/raw", "http://codh.rois.ac.jp/kmnist/dataset/kmnist/"
    ),
    "QMNIST": TorchvisionSet(
        "QMNIST",
        "arrays",
        "QMNIST/raw",
        "https://raw.githubusercontent.com/facebookresearch/qmnist/master/",
    ),
    "EMNIST-balanced": _emnist("balanced"),
    "EMNIST-letters": _emnist("letters"),
    "EMNIST-digits": _emnist("digits"),
    "EMNIST-byclass": _emnist("byclass"),
    "EMNIST-bymerge": _emnist("bymerge"),
    "USPS": TorchvisionSet(
        "USPS",
        "arrays",
        "usps.bz2",
        "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/usps.bz2",
        class_names=_DIGITS,
    ),
    "SEMEION": TorchvisionSet(
        "SEMEION",
        "arrays",
        "semeion.data",
        "http://archive.ics.uci.edu/ml/machine-learning-databases/semeion/semeion.data",
        {None: {}},
        class_names=_DIGITS,
    ),
    "SVHN": TorchvisionSet(
        "SVHN",
        "arrays",
        "train_32x32.mat",
        "http://ufldl.stanford.edu/housenumbers/train_32x32.mat",
        _parts(train="train", test="test"),
        class_names=_DIGITS,
        axes=_CHANNELS_FIRST,
    ),
    "CIFAR10": TorchvisionSet(
        "CIFAR10",
        "arrays",
        "cifar-10-batches-py",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    ),
    "CIFAR100": TorchvisionSet(
        "CIFAR100",
        "arrays",
        "cifar-100-python",
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    ),
    "STL10": TorchvisionSet(
        "STL10",
        "arrays",
        "stl10_binary",
        "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
        _parts(train="train", test="test"),
        axes=_CHANNELS_FIRST,
    ),
    "Flowers102": TorchvisionSet(
        "Flowers102",
        "files",
        "flowers-102",
        f"{_VGG}/flowers/102/",
        _parts(train="train", val="val", test="test"),
    ),
    "Food101": TorchvisionSet(
        "Food101",
        "files",
        "food-101",
        "http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz",
        _parts(train="train", test="test"),
    ),
    "OxfordIIITPet": TorchvisionSet(
        "OxfordIIITPet",
        "files",
        "oxford-iiit-pet",
        f"{_VGG}/pets/",
        _parts(train="trainval", test="test"),
    ),
    "DTD": TorchvisionSet(
        "DTD",
        "files",
        "dtd",
        f"{_VGG}/dtd/",
        _parts(train="train", val="val", test="test"),
    ),
    "FGVCAircraft": TorchvisionSet(
        "FGVCAircraft",
        "files",
        "fgvc-aircraft-2013b",
        f"{_VGG}/fgvc-aircraft/",
        _parts(train="train", val="val", test="test"),
    ),
    "SUN397": TorchvisionSet(
        "SUN397",
        "files",
        "SUN397",
        "http://vision.princeton.edu/projects/2010/SUN/SUN397.tar.gz",
        {None: {}},
    ),
    "GTSRB": TorchvisionSet(
        "GTSRB",
        "samples",
        "gtsrb",
        "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/",
        _parts(train="train", test="test"),
        class_names=tuple(str(number) for number in range(43)),
    ),
    "StanfordCars": TorchvisionSet(
        "StanfordCars",
        "samples",
        "stanford_cars",
        "https://ai.stanford.edu/~jkrause/cars/car_dataset.html",
        _parts(train="train", test="test"),
    ),
    "Imagenette": TorchvisionSet(
        "Imagenette",
        "samples",
        "imagenette2",
        "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2.tgz",
        _parts(train="train", val="val"),
    ),
    "RenderedSST2": TorchvisionSet(
        "RenderedSST2",
        "samples",
        "rendered-sst2",
        "https://openaipublic.azureedge.net/clip/data/rendered-sst2.tgz",
        _parts(train="train", val="val", test="test"),
    ),
    "Country211": TorchvisionSet(
        "Country211",
        "samples",
        "country211",
        "https://openaipublic.azureedge.net/clip/data/country211.tgz",
        _parts(train="train", val="valid", test="test"),
    ),
    "EuroSAT": TorchvisionSet(
        "EuroSAT",
        "samples",
        "eurosat",
        "https://huggingface.co/datasets/torchgeo/eurosat/",
        {None: {}},
    ),
    "Caltech101": TorchvisionSet(
        "Caltech101",
        "categories",
        "caltech101/101_ObjectCategories",
        "https://data.caltech.edu/records/mzrjq-6wc02",
        {None: {}},
    ),
    "Caltech256": TorchvisionSet(
        "Caltech256",
        "categories",
        "caltech256/256_ObjectCategories",
        "https://data.caltech.edu/records/nyy15-4j048",
        {None: {}},
    ),
}
