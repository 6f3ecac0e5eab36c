"""Images and labels of CIFAR-10 in its binary layout."""

import hashlib
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from etaeff.errors import DataError

CLASSES: Final = 10
CIFAR_FILES: Final = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")
CIFAR_FOLDER: Final = "cifar-10-batches-bin"

SHAPE: Final = (3, 32, 32)  # the red, green and blue planes of one image
RECORD: Final = 1 + 3 * 32 * 32  # its label, then its pixels

# The copy that comes with etaeff's development data was made from JPEG files. It is known by
# the order of its labels, which is its own: its pixels depend on the JPEG decoder that made it.
JPEG_LABELS: Final = "dda08d1756b786f139a26b8b8e4a6107bef107bcb3e3ce74619b1770551869c3"
JPEG_NOTE: Final = "JPEG-recompressed images, about 30 dB against the originals"

Bytes = NDArray[np.uint8]


def find_cifar(directory: Path) -> list[Path]:
    """The binary batches of CIFAR-10 in `directory`, or in its folder `cifar-10-batches-bin`.

    Args:
        directory: Where to look.

    Returns:
        Some, all or none of the six paths, training batches first. All are in one folder.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (Path(folder) / "test_batch.bin").touch()
        ...     [path.name for path in find_cifar(Path(folder))]
        ['test_batch.bin']
    """
    for folder in (directory, directory / CIFAR_FOLDER):
        batches = [folder / name for name in CIFAR_FILES if (folder / name).is_file()]
        if batches:
            return batches
    return []


def read_cifar(directory: Path) -> tuple[Bytes, Bytes, Bytes, Bytes]:
    """The four arrays of CIFAR-10: training images and labels, then test.

    A batch is a row of records of 3,073 bytes: the label, then 32 x 32 pixels in red, in green
    and in blue, each row by row. The official batches have 10,000 records; here any whole
    number from one will do.

    Args:
        directory: Holds the six batches, itself or in its folder `cifar-10-batches-bin`.

    Returns:
        Images `(n, 3, 32, 32)`, pixels 0 to 255; labels `(n,)`, from 0 to 9; both once for
        training and once for test.

    Raises:
        DataError: If a batch is missing, is empty, ends within a record or has a label over 9.

    References:
        Krizhevsky, "The CIFAR-10 dataset", https://www.cs.toronto.edu/~kriz/cifar.html,
        section "Binary version".
    """
    batches = find_cifar(directory)
    missing = set(CIFAR_FILES) - {path.name for path in batches}
    if missing:
        raise DataError(
            f"The directory '{batches[0].parent if batches else directory}' must hold "
            f"{', '.join(CIFAR_FILES)}; it lacks {', '.join(sorted(missing))}."
        )
    *train, test = [_records(path) for path in batches]
    return *_split(np.concatenate(train)), *_split(test)


def cifar_note(train_y: Bytes, test_y: Bytes) -> str:
    """What a figure from these data must say, or nothing if they are not known.

    Args:
        train_y: Labels of the training images, `(n,)`, in the order of the files.
        test_y: The same for the test images.

    Returns:
        A phrase, or the empty text.

    Examples:
        >>> cifar_note(np.zeros(5, np.uint8), np.zeros(1, np.uint8))
        ''
    """
    digest = hashlib.sha256(train_y.tobytes() + test_y.tobytes()).hexdigest()
    return JPEG_NOTE if digest == JPEG_LABELS else ""


def _records(path: Path) -> Bytes:
    """The records of one batch, `(n, 3073)`."""
    content = path.read_bytes()
    whole, rest = divmod(len(content), RECORD)
    if rest or not whole:
        raise DataError(
            f"The file '{path}' must hold one or more whole records of {RECORD} bytes, found "
            f"{len(content)} bytes, which is {whole} records and a rest of {rest}."
        )
    records = np.frombuffer(content, np.uint8).reshape(whole, RECORD)
    labels = records[:, 0]
    if labels.max() >= CLASSES:
        raise DataError(
            f"The labels in '{path}' must be from 0 to {CLASSES - 1}, found {labels.max()} in "
            f"record {labels.argmax()}."
        )
    return records


def _split(records: Bytes) -> tuple[Bytes, Bytes]:
    """Images `(n, 3, 32, 32)` and labels `(n,)` of `records`."""
    return records[:, 1:].reshape(-1, *SHAPE), records[:, 0]
