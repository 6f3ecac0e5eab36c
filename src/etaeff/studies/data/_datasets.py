"""Images to train on: the embedded digits, or a directory of idx or CIFAR-10 files."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from etaeff.errors import DataError, UnknownNameError, UsageError, import_extra
from etaeff.studies.data._cifar import CIFAR_FILES, CIFAR_FOLDER, cifar_note, find_cifar, read_cifar
from etaeff.studies.data._dataset import Dataset, fingerprint_of, stratified
from etaeff.studies.data._idx import IDX_FILES, Bytes, find_idx, read_idx

DIGITS_TRAIN: Final = 600  # of 1,797; the rest is for test

# The idx files do not say whose they are. Their contents do.
NAMES: Final = {
    "7ea4b60ae284dd6359a4172ef4aae04c62afcbff9a2216f9d9dcef92d9e6e65a": "mnist",
    "0d4cb3481198bde1be79772ffc4d10b0dd7b433838f2f169b80790157532b427": "fashion-mnist",
}
BINARY: Final = f"{CIFAR_FILES[0]}, …, {CIFAR_FILES[-1]}"
ARCHIVES: Final = (".tar.gz", ".tgz", ".tar", ".zip")
FILES: Final = {
    "mnist": f"{', '.join(IDX_FILES)}, each with or without .gz",
    "fashion-mnist": f"{', '.join(IDX_FILES)}, each with or without .gz",
    "cifar10": f"{', '.join(CIFAR_FILES)}, or a folder {CIFAR_FOLDER} with these",
}


def load_dataset(source: str) -> Dataset:
    r"""Read a data set from scikit-learn or from a directory. Nothing is downloaded.

    Pixels are standardised with the mean and the standard deviation of their channel c over
    the training part:

    $$x_c \leftarrow (x_c - \mu_c) / \sigma_c$$

    The fingerprint is the SHA-256 of the four raw arrays in the order training images, training
    labels, test images, test labels; each gives its shape as text, such as `(600, 1, 8, 8)`,
    and then its bytes.

    Args:
        source: `"digits"`, the 8 x 8 digits that scikit-learn carries, in a fixed split of 600
            to train on and 1,197 to test on; or a directory with the four idx files of MNIST
            or of any set of that format, or with the six binary batches of CIFAR-10.

    Returns:
        The data set, with all of its training part; `take` makes that smaller.

    Raises:
        UsageError: If `source` is not a directory; `UnknownNameError` if it does not look like
            one either.
        DataError: If the directory holds no known files, or files that are missing, truncated
            or damaged.
        MissingExtraError: For `"digits"`, if scikit-learn is not installed.

    Examples:
        >>> digits = load_dataset("digits")
        >>> digits.classes, digits.train_x.shape, digits.test_x.shape
        (10, (600, 1, 8, 8), (1197, 1, 8, 8))
        >>> f"{abs(digits.train_x.mean()):.3f} {digits.train_x.std():.3f}"
        '0.000 1.000'

    References:
        Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
        Repository, 1998; scikit-learn has its test part. For the others see `read_idx` and
        `read_cifar`.
    """
    if source == "digits":
        return _standardised("digits", _digits(), classes=10)
    directory = Path(source)
    if not source or not directory.is_dir():
        raise _no_directory(source)
    try:
        return _read_directory(directory)
    except OSError as error:
        raise DataError(
            f"'{error.filename or source}' cannot be read: {error.strerror or error}."
        ) from error


def _digits() -> tuple[Bytes, Bytes, Bytes, Bytes]:
    """The four arrays of scikit-learn's digits: grey levels 0 to 16, which it gives as floats."""
    bunch = import_extra("sklearn.datasets", "study").load_digits()
    images, labels = bunch.images.astype(np.uint8)[:, None], bunch.target.astype(np.uint8)
    train = stratified(labels, DIGITS_TRAIN, seed=0)
    test = np.setdiff1d(np.arange(len(labels)), train)
    return images[train], labels[train], images[test], labels[test]


def _read_directory(directory: Path) -> Dataset:
    """The one data set whose files lie in `directory`."""
    idx, cifar = find_idx(directory), find_cifar(directory)
    if idx and cifar:
        raise DataError(
            f"The directory '{directory}' must hold one data set, found idx files and the binary "
            "batches of CIFAR-10. Give each a directory of its own."
        )
    if idx:
        arrays = read_idx(directory)
        data = _standardised(directory.resolve().name, arrays, int(arrays[1].max()) + 1)
        return replace(data, name=NAMES.get(data.fingerprint, data.name))
    if cifar:
        arrays = read_cifar(directory)
        note = cifar_note(arrays[1], arrays[3])
        return replace(_standardised("cifar10", arrays, classes=10), note=note)
    raise _nothing_known(directory)


def _standardised(name: str, arrays: tuple[Bytes, Bytes, Bytes, Bytes], classes: int) -> Dataset:
    """The data set of four raw arrays: training images and labels, then test."""
    train_x, train_y, test_x, test_y = arrays
    train = np.empty(train_x.shape, np.float32)
    test = np.empty(test_x.shape, np.float32)
    for channel in range(train_x.shape[1]):
        levels = _levels(name, channel, train_x[:, channel])
        train[:, channel] = levels[train_x[:, channel]]
        test[:, channel] = levels[test_x[:, channel]]
    raw = [part for array in arrays for part in (str(array.shape).encode(), array.tobytes())]
    return Dataset(
        name=name,
        classes=classes,
        train_x=train,
        train_y=train_y.astype(np.int64),
        test_x=test,
        test_y=test_y.astype(np.int64),
        fingerprint=fingerprint_of(raw),
        note="",
    )


def _levels(name: str, channel: int, pixels: Bytes) -> NDArray[np.float32]:
    """The standardised value of each of the 256 grey levels, by mean and deviation of `pixels`."""
    # Sums of whole numbers, so that the result is the same whatever the order of adding.
    n = pixels.size
    total = int(pixels.sum(dtype=np.int64))
    squares = int(np.square(pixels, dtype=np.uint16).sum(dtype=np.int64))
    variance = (n * squares - total**2) / n**2
    if variance == 0:
        raise DataError(
            f"The training images of '{name}' must differ somewhere, found the one value "
            f"{total // n} in every pixel of channel {channel}."
        )
    levels: NDArray[np.float64] = (np.arange(256) - total / n) / np.sqrt(variance)
    return levels.astype(np.float32)


def _no_directory(source: str) -> UsageError:
    """The refusal of a `source` that is not a directory."""
    if Path(source).is_file():
        advice = " Unpack it first." if source.endswith(ARCHIVES) else ""
        return UsageError(f"`source` must be a directory, got the file '{source}'.{advice}")
    if os.sep in source or "/" in source:
        return UsageError(f"`source` must be a directory, and '{source}' does not exist.")
    plain = source.lower().replace("-", "").replace("_", "")
    for name, files in FILES.items():
        if plain == name.replace("-", ""):
            return UsageError(
                f"The data set '{name}' is given by its directory, which must hold {files}."
            )
    return UnknownNameError(
        "data set", source, ["digits", "and any directory of idx or CIFAR-10 binary files"]
    )


def _nothing_known(directory: Path) -> DataError:
    """The refusal of a directory without files that can be read."""
    names = sorted(path.name for path in directory.iterdir())
    if {"data_batch_1", "cifar-10-batches-py"} & set(names):
        return DataError(
            f"The directory '{directory}' holds the pickled batches of CIFAR-10, which are not "
            f"read because a pickle can run any code. The binary version is needed: {BINARY}."
        )
    archives = [name for name in names if name.endswith(ARCHIVES)]
    if archives:
        return DataError(
            f"The directory '{directory}' holds no files that can be read, but the archive "
            f"'{archives[0]}'. Unpack it first; of CIFAR-10 the binary version is needed: {BINARY}."
        )
    shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return DataError(
        f"The directory '{directory}' must hold the idx files {IDX_FILES[0]} and so on, or the "
        f"files {BINARY} of CIFAR-10, found {shown or 'nothing'}."
    )
