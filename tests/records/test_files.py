import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from etaeff.records import write_atomically

WRITER = """
import sys
from pathlib import Path
from etaeff.records import write_atomically
path = Path(sys.argv[1])
print("ready", flush=True)
while True:
    for letter in "ab":
        write_atomically(path, letter * 2_000_000)
"""


def names(folder):
    return sorted(file.name for file in folder.iterdir())


@pytest.mark.parametrize("content", ["", "η_eff\r\n", b"", b"\x00\xff", "x" * 10**6])
def test_content_is_written_as_it_is(tmp_path, content):
    write_atomically(tmp_path / "a.txt", content)
    expected = content if isinstance(content, bytes) else content.encode()
    assert (tmp_path / "a.txt").read_bytes() == expected
    assert names(tmp_path) == ["a.txt"]


def test_bare_name_is_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_atomically(Path("a.txt"), "1")
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_others_may_read_it(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "a.txt", "1")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o644


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, function, error):
    def fail(*_):
        raise error

    write_atomically(tmp_path / "a.txt", "old")
    monkeypatch.setattr(os, function, fail)
    with pytest.raises(type(error)):
        write_atomically(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_absent_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "no" / "a.txt", "1")


def test_content_is_on_disk_before_its_name(tmp_path, monkeypatch):
    calls = []
    for function in ("fsync", "replace"):
        real = getattr(os, function)
        monkeypatch.setattr(
            os, function, lambda *a, f=function, r=real: (calls.append(f), r(*a))[1]
        )
    write_atomically(tmp_path / "a.txt", "1")
    assert calls == ["fsync", "replace", "fsync"]


def test_kill_leaves_the_old_file_or_the_new_one(tmp_path):
    path = tmp_path / "a.txt"
    whole = {letter * 2_000_000 for letter in "ab"}
    write_atomically(path, "a" * 2_000_000)
    for kill in range(20):
        command = [sys.executable, "-c", WRITER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            writer.stdout.readline()
            time.sleep(0.0017 * kill)
            writer.send_signal(signal.SIGKILL)
        assert path.read_text() in whole
