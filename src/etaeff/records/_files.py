"""Files that are whole or absent."""

import os
import tempfile
from pathlib import Path


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write `content` to `path` so that a crash leaves the old file or the new one, whole.

    The content goes to a temporary file in the same folder, is forced to disk, and is then
    renamed onto `path`; the folder is forced to disk last, because the rename lives there.

    Args:
        path: Where to write. Its folder must exist.
        content: The whole content; text is encoded as UTF-8.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_atomically(Path(folder) / "a.txt", "η")
        ...     (Path(folder) / "a.txt").read_text(encoding="utf-8")
        'η'
    """
    if isinstance(content, str):
        content = content.encode()
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)  # mkstemp gives 0600
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Force the names in `folder` to disk: a new file or a rename is not safe before that."""
    if hasattr(os, "O_DIRECTORY"):  # not on Windows, where a folder cannot be opened
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
