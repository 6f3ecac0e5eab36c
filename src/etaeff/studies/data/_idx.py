"""Images and labels in idx files, the format of MNIST."""

import gzip
import math
import zlib
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from etaeff.errors import DataError

IDX_FILES: Final = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

Bytes = NDArray[np.uint8]


def find_idx(directory: Path) -> dict[str, Path]:
    """The idx files that are in `directory`, by their official names.

    Each may also be spelt with a dot, as in `train-images.idx3-ubyte`, and may end in `.gz`. Of
    several forms of one file an uncompressed one is taken.

    Args:
        directory: Where to look. Sub-folders are not searched.

    Returns:
        Some, all or none of the four names of `IDX_FILES`, each with its path.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (Path(folder) / "train-images.idx3-ubyte.gz").touch()
        ...     [path.name for path in find_idx(Path(folder)).values()]
        ['train-images.idx3-ubyte.gz']
    """
    files = {}
    for name in IDX_FILES:
        dotted = name.replace("-idx", ".idx")
        for form in (name, dotted, f"{name}.gz", f"{dotted}.gz"):
            if (directory / form).is_file():
                files[name] = directory / form
                break
    return files


def read_idx(directory: Path) -> tuple[Bytes, Bytes, Bytes, Bytes]:
    """The four arrays of a data set in idx files: training images and labels, then test.

    Args:
        directory: Holds the four files of `IDX_FILES`, in any form that `find_idx` accepts.

    Returns:
        Images `(n, 1, height, width)`, pixels 0 to 255; labels `(n,)`, from 0 to the number
        of classes less one; both once for training and once for test.

    Raises:
        DataError: If a file is missing or damaged, or if they do not fit together: unequal
            numbers of images and labels, images of two sizes, or labels out of range.

    References:
        LeCun, Cortes, Burges, "The MNIST database of handwritten digits",
        http://yann.lecun.com/exdb/mnist/, section "The idx file format".
    """
    files = find_idx(directory)
    missing = [name for name in IDX_FILES if name not in files]
    if missing:
        raise DataError(
            f"The directory '{directory}' must hold {', '.join(IDX_FILES)}, each with or without "
            f".gz; it lacks {', '.join(missing)}."
        )
    paths = [files[name] for name in IDX_FILES]
    train_x, test_x = _read(paths[0], dimensions=3), _read(paths[2], dimensions=3)
    train_y, test_y = _read(paths[1], dimensions=1), _read(paths[3], dimensions=1)
    _check_counts(paths[0], train_x, paths[1], train_y)
    _check_counts(paths[2], test_x, paths[3], test_y)
    if train_x.shape[1:] != test_x.shape[1:]:
        raise DataError(
            f"The images in '{paths[0]}' and '{paths[2]}' must have the same size, found "
            f"{_text(train_x.shape[1:])} and {_text(test_x.shape[1:])} pixels."
        )
    _check_labels(paths[1], train_y, paths[3], test_y)
    return train_x[:, None], train_y, test_x[:, None], test_y


def _read(path: Path, dimensions: int) -> Bytes:
    """The array in the idx file `path`: unsigned bytes in `dimensions` dimensions."""
    content = _content(path)
    magic, header = bytes([0, 0, 8, dimensions]), 4 + 4 * dimensions  # 8: unsigned bytes
    if content[:4] != magic[: len(content)]:
        raise DataError(
            f"The file '{path}' must begin with the bytes {magic.hex(' ')} (idx, unsigned bytes, "
            f"dimensions: {dimensions}), found {content[:4].hex(' ')}."
        )
    if len(content) < header:
        raise DataError(
            f"The file '{path}' is truncated: an idx header of {header} bytes was expected, "
            f"found {len(content)} bytes in all."
        )
    shape = tuple(np.frombuffer(content, ">u4", dimensions, offset=4).tolist())
    expected, size = math.prod(shape), len(content) - header
    if size != expected:
        raise DataError(
            f"The file '{path}' is {'truncated' if size < expected else 'too long'}: its header "
            f"promises {_text(shape)} = {expected} bytes of data, found {size}."
        )
    if expected == 0:
        raise DataError(
            f"The file '{path}' holds no examples: its header gives the size {_text(shape)}."
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _content(path: Path) -> bytes:
    """The bytes of `path`, decompressed if its name ends in `.gz`."""
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        with gzip.open(path) as file:
            return file.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"The file '{path}' must be a whole gzip file, and cannot be decompressed: {error}."
        ) from error


def _check_counts(images_path: Path, images: Bytes, labels_path: Path, labels: Bytes) -> None:
    """Refuse images that have not one label each."""
    if len(images) != len(labels):
        raise DataError(
            f"There must be one label for each image, found {len(images)} images in "
            f"'{images_path}' and {len(labels)} labels in '{labels_path}'."
        )


def _check_labels(train_path: Path, train: Bytes, test_path: Path, test: Bytes) -> None:
    """Hold the training labels to 0, 1, … without a gap, and the test labels to these.

    An idx file does not say how many classes there are; a gap shows a label out of range.
    """
    classes, distinct = int(train.max()) + 1, len(np.unique(train))
    if distinct < max(classes, 2):
        raise DataError(
            f"The labels in '{train_path}' must be 0, 1, 2, … without a gap and of two classes or "
            f"more, found labels from {train.min()} to {train.max()}, {distinct} of them distinct."
        )
    if test.max() >= classes:
        raise DataError(
            f"The labels in '{test_path}' must be from 0 to {classes - 1}, as in '{train_path}', "
            f"found {test.max()} at index {test.argmax()}."
        )


def _text(shape: tuple[int, ...]) -> str:
    """A size such as `28 x 28`."""
    return " x ".join(str(size) for size in shape)
