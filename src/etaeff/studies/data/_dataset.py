"""A data set in memory, and a part of it that is drawn in proportion to its classes."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from etaeff.errors import UsageError


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images, in a part to train on and a part to test on.

    Attributes:
        name: `"digits"`, `"mnist"`, `"fashion-mnist"`, `"cifar10"`, or for other idx files the
            name of their folder.
        classes: How many classes there are. Labels are 0 to `classes - 1`.
        train_x: Training images `(n, channels, height, width)`, standardised: over all of them
            the pixels of each channel have mean 0 and standard deviation 1.
        train_y: Training labels `(n,)`.
        test_x: Test images, shifted and scaled exactly as the training images were.
        test_y: Test labels.
        fingerprint: What the numbers depend on, as 64 hexadecimal digits. Equal for equal
            contents, whatever the files are called and however they are compressed.
        note: What a figure from these data must say, or the empty text.
    """

    name: str
    classes: int
    train_x: NDArray[np.float32]
    train_y: NDArray[np.int64]
    test_x: NDArray[np.float32]
    test_y: NDArray[np.int64]
    fingerprint: str
    note: str


def take(dataset: Dataset, train_size: int, seed: int = 0) -> Dataset:
    """A part of the training examples, drawn at random, each class in its proportion.

    Every class gives at least one example, and from there on the classes give equal shares of
    what they have, as nearly as whole examples can. For one seed a smaller part lies within a
    larger one, and the part is the same on every machine and with every version of numpy. The
    test part and the scaling of the pixels stay.

    Args:
        dataset: Where to take from.
        train_size: How many to take, from the number of classes to all.
        seed: Which part to take, zero or more.

    Returns:
        The smaller data set, examples in their order in `dataset`. Its fingerprint is the
        SHA-256 of that of `dataset` and of which examples were taken. If all are taken it is
        `dataset` itself.

    Raises:
        UsageError: If `train_size` or `seed` is out of range.

    Examples:
        >>> from etaeff.studies import load_dataset
        >>> small = take(load_dataset("digits"), 50)
        >>> small.train_x.shape, np.bincount(small.train_y).tolist()
        ((50, 1, 8, 8), [5, 5, 5, 5, 5, 5, 5, 5, 5, 5])
    """
    available = len(dataset.train_y)
    if not dataset.classes <= train_size <= available:
        raise UsageError(
            f"`train_size` must be from {dataset.classes}, the classes of {dataset.name}, to "
            f"{available}, its training examples, got {train_size}."
        )
    if seed < 0:
        raise UsageError(f"`seed` must be zero or more, got {seed}.")
    if train_size == available:
        return dataset
    chosen = stratified(dataset.train_y, train_size, seed)
    return replace(
        dataset,
        train_x=dataset.train_x[chosen],
        train_y=dataset.train_y[chosen],
        fingerprint=fingerprint_of([dataset.fingerprint.encode(), chosen.astype("<i8").tobytes()]),
    )


def stratified(labels: NDArray[np.integer], size: int, seed: int) -> NDArray[np.int64]:
    """Which `size` of `labels` a random draw in proportion to the classes takes, in order.

    Each example gets the share of its class that comes before it in a random order, and the
    `size` smallest shares are taken: 0 for the first of each class, which is so never left out.
    """
    # Raw 64-bit integers: numpy promises to keep these, but not what `Generator` makes of them.
    keys = np.random.PCG64(seed).random_raw(len(labels))
    share = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        share[members[np.argsort(keys[members])]] = np.arange(len(members)) / len(members)
    return np.sort(np.lexsort((keys, share))[:size])


def fingerprint_of(parts: Iterable[bytes]) -> str:
    """The SHA-256 of the parts one after another, in hexadecimal digits."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
