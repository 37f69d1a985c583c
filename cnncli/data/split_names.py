"""Reads what split the name of a folder means, such as ``Training``, ``seg_train``, ``1_test``."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from cnncli.choices import Split
from cnncli.errors import shorten

# Words of folders of splits, in lower case and without accents.
_WORDS: dict[Split, set[str]] = {
    "train": {
        *("train", "training", "trn", "tr", "learn", "learning"),
        *("treino", "treinamento", "entrenamiento", "entrainement", "apprentissage"),
        *("addestramento", "egitim", "训练", "训练集", "訓練", "訓練集", "学習"),
        *("trainings", "trainingsdaten", "trainingsset", "trainingsbilder", "lernen"),
        *("обучение", "обучающая", "тренировка", "тренировочная", "학습", "훈련"),
    },
    "val": {
        *("val", "vali", "valid", "validation", "validate", "validating", "validaton"),
        *("va", "dev", "devel", "development", "tuning"),
        *("validacao", "validacion", "validierung", "validazione", "dogrulama"),
        *("validierungsdaten", "validierungsset", "валидация", "валидационная", "проверка"),
        *("验证", "验证集", "驗證", "驗證集", "検証", "검증"),
    },
    "test": {
        *(
            "test",
            "testing",
            "tests",
            "tst",
            "ts",
            "te",
            "holdout",
            "heldout",
            "eval",
            "evaluation",
        ),
        *("teste", "prueba", "pruebas", "测试", "测试集", "測試", "測試集", "テスト"),
        *("testdaten", "testbilder", "тест", "тестовая", "тестирование", "테스트", "시험"),
    },
}
# The words that need no remark.
USUAL = frozenset(("train", "val", "valid", "validation", "test"))
_SPLIT_OF: dict[str, Split] = {word: split for split, words in _WORDS.items() for word in words}
# Words that say nothing about the split, alone or glued to one: train_set, testdata, val_images.
_FILLERS = {
    *("set", "sets", "data", "dataset", "datasets", "image", "images", "img", "imgs"),
    *("picture", "pictures", "photo", "photos", "pic", "pics", "split", "folder", "dir"),
    *("sample", "samples", "part", "and", "the", "jpg", "jpeg", "png"),
}
# Words that mean a split only if nothing else is in the name: a class may be called "te_large".
_SHORT = {
    "tr",
    "ts",
    "te",
    "va",
    "dev",
    "devel",
    "development",
    "eval",
    "learn",
    "learning",
    "tuning",
}
# What lies beside the images and is none of them.
_NO_IMAGES = {
    *("mask", "masks", "label", "labels", "annotation", "annotations", "gt", "groundtruth"),
    *("segmentation", "segmentations", "bbox", "bboxes"),
}
# Further words for masks, which may also be part of the name of a split: seg_train.
_MASKS = _NO_IMAGES | {
    *("seg", "segs", "segmented", "trimap", "trimaps", "matte", "mattes", "anno", "annos"),
    *("maske", "masken", "masque", "masques", "mascara", "mascaras", "lbl", "lbls"),
}
_PICTURES = {
    *("image", "images", "img", "imgs", "picture", "pictures", "photo", "photos", "scan", "scans"),
    *("original", "originals", "orig", "input", "inputs", "raw"),
}
_GROUND_TRUTH = re.compile(r"(?i)ground[ _-]?truth")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_a-zA-Z]+")


@dataclass(frozen=True)
class SplitName:
    """What the name of a folder says.

    Attributes:
        split: The split that it means.
        is_plain: Whether all of the name is about the split: ``Train_set``, not ``train_station``.
    """

    split: Split
    is_plain: bool


def parse_split_name(name: str) -> SplitName | None:
    """Return what split the name of a folder may mean, or None if it means none, or several.

    A class may have such a name too; `cnncli.data.layout` decides by what lies in the folders.

    Args:
        name: The name of a folder.
    """
    words = [_strip_filler(word) for word in _split_words(name)]
    if not _NO_IMAGES.isdisjoint(words):
        return None
    meant = [_SPLIT_OF[word] for word in words if word in _SPLIT_OF]
    others = [word for word in words if word not in _SPLIT_OF and word not in _FILLERS]
    if others:
        long = [w for w in words if w in _SPLIT_OF and w not in _SHORT]
        meant = [_SPLIT_OF[word] for word in long]
    if set(meant) == {"train", "val"}:  # what others would take for both: trainval, train_val
        meant = ["train"]
    return SplitName(meant[0], not others) if len(set(meant)) == 1 else None


@lru_cache(maxsize=1024)
def parse_split_text(text: str) -> Split | None:
    """Return the split that a field of a table means, or None if it means none.

    All of it must be about the split: ``Training``, ``dev``, ``test set``.

    Args:
        text: A field of a column of splits.
    """
    found = parse_split_name(text)
    return found.split if found is not None and found.is_plain else None


def tell_split_words(words: Mapping[str, Split], where: str) -> tuple[str, ...]:
    """Return a sentence on the words of a table that are read as splits, but for the usual ones.

    Args:
        words: The words, as they are written, and what they mean.
        where: What stands in front: the table or its column.
    """
    read = [f"{word!r} is {split}" for word, split in words.items() if word.lower() not in USUAL]
    return (f"{where}{shorten(read)}",) if read else ()


def strip_split(name: str) -> str:
    """Return the words of a name without that of a split at its end: ``cat`` for ``Cat_Test``.

    The result is empty where no such word, or nothing else, is in the name.

    Args:
        name: The name of a folder.
    """
    *words, last = _split_words(name) or [""]
    return "_".join(words) if last in _SPLIT_OF and last not in _SHORT else ""


def is_mask_name(name: str) -> bool:
    """Return whether a folder is called like one of masks or annotations, not of images."""
    return not _MASKS.isdisjoint(_split_words(_GROUND_TRUTH.sub("gt", name)))


def is_all_about(name: str, kind: Literal["masks", "pictures"]) -> bool:
    """Return whether a name says nothing but that something holds masks, or pictures."""
    words = set(_split_words(_GROUND_TRUTH.sub("gt", name)))
    known = _MASKS if kind == "masks" else _PICTURES
    others = _FILLERS | {"tif", "tiff", "bmp", "files"}
    return not known.isdisjoint(words) and words <= known | others


def _split_words(name: str) -> list[str]:
    """Return the words of a name in lower case and without accents; numbers are left out."""
    plain = unicodedata.normalize("NFC", name)
    if plain.isascii() or not any(ord(letter) > 0x2FF for letter in plain):
        parts = unicodedata.normalize("NFKD", name)
        plain = "".join(letter for letter in parts if not unicodedata.combining(letter))
    joined = re.sub(r"(?i)(?<![a-z])(hold|held)[ _-]?out(?![a-z])", "holdout", plain)
    words = []
    for word in re.findall(r"[^\W\d_]+", joined):
        known = _strip_filler(word.lower()) in _SPLIT_OF  # "TRAINset" has no word within it
        words += [word] if known else _CAMEL.findall(word)
    return [word.lower() for word in words]


def _strip_filler(word: str) -> str:
    """Return ``train`` for ``trainset`` and ``trainval``; other words as they are."""
    if word in _SPLIT_OF:
        return word
    for filler in sorted(_FILLERS, key=len, reverse=True):
        for rest in (word.removesuffix(filler), word.removeprefix(filler)):
            if rest != word and rest in _SPLIT_OF and len(rest) > 2:
                return rest
    return "train" if word in ("trainval", "trainvalid", "trainvalidation") else word
