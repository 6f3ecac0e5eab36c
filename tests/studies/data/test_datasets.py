import gzip
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from etaeff.errors import DataError, UnknownNameError, UsageError
from etaeff.studies.data._cifar import CIFAR_FILES, JPEG_NOTE
from etaeff.studies.data._dataset import take
from etaeff.studies.data._datasets import load_dataset
from etaeff.studies.data._idx import IDX_FILES

SHARED = Path(
    os.environ.get("ETAEFF_TEST_DATA", Path(__file__).parents[3].parent / "shared" / "data")
)
TRAIN_X, TRAIN_Y, TEST_X, TEST_Y = IDX_FILES


def idx_bytes(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def idx_arrays(train=40, test=20, classes=4, size=(5, 6)):
    rng = np.random.default_rng(0)
    return {
        TRAIN_X: rng.integers(0, 256, (train, *size), np.uint8),
        TRAIN_Y: (np.arange(train) % classes).astype(np.uint8),
        TEST_X: rng.integers(0, 256, (test, *size), np.uint8),
        TEST_Y: (np.arange(test) % classes).astype(np.uint8),
    }


def write_idx(folder, arrays, form="{}"):
    folder.mkdir(exist_ok=True)
    for name, array in arrays.items():
        content = idx_bytes(array)
        path = folder / form.format(name)
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return folder


def cifar_records(count, seed=0):
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % 10).astype(np.uint8)[:, None]
    return np.hstack([labels, rng.integers(0, 256, (count, 3072), np.uint8)])


def write_cifar(folder, count=20):
    folder.mkdir(exist_ok=True)
    for seed, name in enumerate(CIFAR_FILES):
        (folder / name).write_bytes(cifar_records(count, seed).tobytes())
    return folder


def shared(folder):
    if not (SHARED / folder).is_dir():
        pytest.skip(f"'{folder}' is not in the test data; set ETAEFF_TEST_DATA to its folder.")
    return str(SHARED / folder)


@pytest.fixture
def idx(tmp_path):
    return write_idx(tmp_path / "shapes", idx_arrays())


@pytest.fixture
def cifar(tmp_path):
    return write_cifar(tmp_path / "batches")


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


def assert_same(a, b):
    for field in ("train_x", "train_y", "test_x", "test_y"):
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field), strict=True)
    assert (a.name, a.classes, a.fingerprint, a.note) == (b.name, b.classes, b.fingerprint, b.note)


def as_set(images):
    return {image.tobytes() for image in images}


def test_digits_have_a_fixed_split(digits):
    assert (digits.name, digits.classes, digits.note) == ("digits", 10, "")
    assert digits.train_x.shape == (600, 1, 8, 8)
    assert digits.test_x.shape == (1197, 1, 8, 8)
    assert digits.train_x.dtype == digits.test_x.dtype == np.float32
    assert digits.train_y.dtype == digits.test_y.dtype == np.int64
    assert digits.fingerprint == "dd7f125b7cd7bc06f5ba94175e4f274ddc8a01827de540fe0e6a7eec41a39eac"
    assert_same(digits, load_dataset("digits"))


def test_the_split_of_digits_is_disjoint_and_whole(digits):
    everything = pytest.importorskip("sklearn.datasets").load_digits().images
    assert len(as_set(everything)) == 1797, "no image occurs twice"
    assert not as_set(digits.train_x) & as_set(digits.test_x)
    assert len(as_set(digits.train_x) | as_set(digits.test_x)) == 1797


def test_the_split_of_digits_is_stratified(digits):
    train, test = np.bincount(digits.train_y), np.bincount(digits.test_y)
    np.testing.assert_allclose(train, (train + test) * 600 / 1797, atol=1)


def test_digits_are_standardised_over_the_training_part(digits):
    images = pytest.importorskip("sklearn.datasets").load_digits().images
    levels = np.sort(np.unique(digits.train_x))
    assert len(levels) == 17, "grey levels 0 to 16"
    train, test = (np.searchsorted(levels, x) for x in (digits.train_x, digits.test_x))
    assert as_set(np.concatenate([train, test])[:, 0].astype(float)) == as_set(images)
    for got, raw in ((digits.train_x, train), (digits.test_x, test)):
        np.testing.assert_allclose(got, (raw - train.mean()) / train.std(), atol=1e-6)


@pytest.mark.parametrize("form", ["{}.gz", "dotted", "dotted.gz"])
def test_every_form_of_idx_files_gives_the_same_data(tmp_path, idx, form):
    arrays = idx_arrays()
    if form.startswith("dotted"):
        arrays = {name.replace("-idx", ".idx"): array for name, array in arrays.items()}
    (tmp_path / "other").mkdir()
    other = write_idx(tmp_path / "other" / "shapes", arrays, form.replace("dotted", "{}"))
    assert_same(load_dataset(str(idx)), load_dataset(str(other)))


def test_idx_data_are_standardised_with_the_training_part(idx):
    arrays, data = idx_arrays(), load_dataset(str(idx))
    mean, std = arrays[TRAIN_X].mean(), arrays[TRAIN_X].std()
    assert data.train_x.shape == (40, 1, 5, 6)
    np.testing.assert_allclose(data.train_x[:, 0], (arrays[TRAIN_X] - mean) / std, rtol=1e-6)
    np.testing.assert_allclose(data.test_x[:, 0], (arrays[TEST_X] - mean) / std, rtol=1e-6)
    np.testing.assert_array_equal(data.train_y, arrays[TRAIN_Y])
    np.testing.assert_array_equal(data.test_y, arrays[TEST_Y])


def test_other_idx_data_take_the_name_of_their_folder(idx, monkeypatch):
    data = load_dataset(str(idx))
    assert (data.name, data.classes, data.note) == ("shapes", 4, "")
    monkeypatch.chdir(idx)
    assert load_dataset(".").name == "shapes"


@pytest.mark.parametrize("name", IDX_FILES)
def test_the_fingerprint_depends_on_every_array(idx, name):
    before = load_dataset(str(idx)).fingerprint
    arrays = idx_arrays()
    # For the labels this exchanges two classes, so that they stay in range.
    arrays[name][:2] = arrays[name][:2][::-1].copy()
    assert load_dataset(str(write_idx(idx, arrays))).fingerprint != before


def test_cifar_planes_are_red_green_blue(cifar):
    data = load_dataset(str(cifar))
    records = np.concatenate([cifar_records(20, seed) for seed in range(5)])
    raw = records[:, 1:].reshape(100, 3, 32, 32)
    mean, std = (f(raw, axis=(0, 2, 3), keepdims=True) for f in (np.mean, np.std))
    assert (data.name, data.classes, data.note) == ("cifar10", 10, "")
    np.testing.assert_allclose(data.train_x, (raw - mean) / std, rtol=1e-5)
    np.testing.assert_array_equal(data.train_y, records[:, 0])
    test = cifar_records(20, seed=5)[:, 1:].reshape(20, 3, 32, 32)
    np.testing.assert_allclose(data.test_x, (test - mean) / std, rtol=1e-5)


def test_cifar_may_be_in_its_sub_folder(tmp_path, cifar):
    write_cifar(tmp_path / "cifar-10-batches-bin")
    assert_same(load_dataset(str(tmp_path)), load_dataset(str(cifar)))


@pytest.mark.parametrize(
    ("folder", "name"), [("mnist", "mnist"), ("fashion_mnist", "fashion-mnist")]
)
def test_mnist_and_its_kin_are_recognised(folder, name):
    data = load_dataset(shared(folder))
    assert (data.name, data.classes, data.note) == (name, 10, "")
    assert data.train_x.shape == (60000, 1, 28, 28)
    assert data.test_x.shape == (10000, 1, 28, 28)
    assert abs(data.train_x.mean(dtype=float)) < 1e-6
    assert data.train_x.std(dtype=float) == pytest.approx(1, abs=1e-6)


def test_the_recompressed_cifar_is_recognised(tmp_path):
    pytest.importorskip("PIL", reason="Pillow is needed to decode the JPEG files.")
    shared("cifar10_jpeg")
    script = SHARED / "make_cifar10_binary.py"
    subprocess.run([sys.executable, script, tmp_path], check=True, capture_output=True)
    data = load_dataset(str(tmp_path))
    assert (data.name, data.note) == ("cifar10", JPEG_NOTE)
    assert data.train_x.shape == (50000, 3, 32, 32)
    assert take(data, 100).note == JPEG_NOTE
    for path in (tmp_path / "cifar-10-batches-bin").iterdir():  # 184 MB
        path.unlink()


def test_take_is_deterministic_and_stratified(digits):
    small = take(digits, 100)
    assert_same(small, take(digits, 100))
    assert small.train_x.shape == (100, 1, 8, 8)
    np.testing.assert_allclose(
        np.bincount(small.train_y), np.bincount(digits.train_y) * 100 / 600, atol=1
    )
    assert as_set(small.train_x) <= as_set(digits.train_x)
    np.testing.assert_array_equal(small.test_x, digits.test_x)
    assert small.fingerprint == "dd5df6bc0a6a0fbd2691b6a23c2d79fc3829ff234c764dd6033ab6595eece82e"


def test_take_with_another_seed_is_another_part(digits):
    first, second = take(digits, 100, seed=0), take(digits, 100, seed=1)
    assert first.fingerprint != second.fingerprint
    assert as_set(first.train_x) != as_set(second.train_x)


@pytest.mark.parametrize("size", [10, 11, 99, 599])
def test_take_has_the_exact_size_and_lies_within_a_larger_part(digits, size):
    small, larger = take(digits, size), take(digits, size + 1)
    assert len(as_set(small.train_x)) == len(small.train_y) == size
    assert as_set(small.train_x) < as_set(larger.train_x)
    assert set(small.train_y) == set(range(10))


def test_take_keeps_images_with_their_labels(digits):
    label = {image.tobytes(): y for image, y in zip(digits.train_x, digits.train_y, strict=True)}
    small = take(digits, 50)
    assert [label[image.tobytes()] for image in small.train_x] == small.train_y.tolist()


def test_take_leaves_out_no_rare_class(tmp_path):
    arrays = idx_arrays(train=300, classes=2)
    arrays[TRAIN_Y] = np.repeat(np.array([0, 1, 2], np.uint8), [289, 10, 1])
    small = take(load_dataset(str(write_idx(tmp_path / "rare", arrays))), 30)
    assert np.bincount(small.train_y).tolist() == [28, 1, 1]


def test_take_of_everything_is_the_data_set_itself(digits):
    assert take(digits, 600) is digits


@pytest.mark.parametrize("size", [601, 9, 0, -1])
def test_take_refuses_a_size(digits, size):
    words = (
        "`train_size` must be from 10, the classes of digits, to 600, its training examples, "
        f"got {size}."
    )
    with pytest.raises(UsageError, match=words):
        take(digits, size)


def test_take_refuses_a_negative_seed(digits):
    with pytest.raises(UsageError, match="`seed` must be zero or more, got -1"):
        take(digits, 100, seed=-1)


@pytest.mark.parametrize("source", ["digit", "imagenet", ""])
def test_unknown_names_are_refused(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = (
        f"Unknown data set '{source}'. Known: digits, and any directory of idx or CIFAR-10 "
        "binary files."
    )
    with pytest.raises(UnknownNameError, match=words):
        load_dataset(source)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("mnist", r"'mnist' is given by its directory, which must hold train-images-idx3-ubyte, "),
        ("MNIST", r"'mnist' is given by its directory, .* with or without \.gz"),
        ("fashion-mnist", r"'fashion-mnist' is given by its directory"),
        ("fashion_mnist", r"'fashion-mnist' is given by its directory"),
        ("cifar10", r"'cifar10' is given by its directory, .* data_batch_1\.bin, .*test_batch"),
        ("CIFAR-10", r"'cifar10' is given by its directory"),
        ("no/such", r"`source` must be a directory, and 'no/such' does not exist\."),
        ("./digits", r"`source` must be a directory, and './digits' does not exist\."),
        ("some.txt", r"`source` must be a directory, got the file 'some\.txt'\.$"),
        ("some.tar.gz", r"got the file 'some\.tar\.gz'\. Unpack it first\."),
    ],
)
def test_what_is_not_a_directory_is_refused(source, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("some.txt", "some.tar.gz"):
        Path(name).touch()
    with pytest.raises(UsageError, match=words):
        load_dataset(source)


def test_a_directory_with_the_name_of_a_set_is_read(tmp_path, monkeypatch):
    write_idx(tmp_path / "mnist", idx_arrays())
    monkeypatch.chdir(tmp_path)
    assert load_dataset("mnist").train_x.shape == (40, 1, 5, 6)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], r"must hold the idx files .* data_batch_1\.bin, …, test_batch\.bin .* found nothing"),
        (["b.txt", "a.txt"], r"found a\.txt, b\.txt\."),
        (list("abcdef"), r"found a, b, c, d, e, …\."),
        (
            ["data_batch_1", "x.tar.gz"],
            "pickled batches of CIFAR-10.* The binary version is needed",
        ),
        (["cifar-10-batches-py"], "pickled batches of CIFAR-10, which are not read"),
        (["cifar-10-python.tar.gz"], r"the archive 'cifar-10-python\.tar\.gz'\. Unpack it first"),
    ],
)
def test_a_directory_with_nothing_known_is_refused(names, words, tmp_path):
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=words):
        load_dataset(str(tmp_path))


def test_a_directory_with_two_data_sets_is_refused(idx):
    write_cifar(idx)
    with pytest.raises(DataError, match="must hold one data set, found idx files and the binary"):
        load_dataset(str(idx))


@pytest.mark.parametrize("name", IDX_FILES)
def test_a_missing_idx_file_is_named(idx, name):
    (idx / name).unlink()
    with pytest.raises(DataError, match=rf"shapes' must hold .* it lacks {name}\."):
        load_dataset(str(idx))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda b: b[:-1], "is truncated: its header promises 40 x 5 x 6 = 1200 .* found 1199"),
        (lambda b: b[:16], "is truncated: its header promises 40 x 5 x 6 = 1200 .* found 0"),
        (lambda b: b[:15], "is truncated: an idx header of 16 bytes was expected, found 15"),
        (lambda b: b[:3], "is truncated: an idx header of 16 bytes was expected, found 3"),
        (lambda b: b"", "is truncated: an idx header of 16 bytes was expected, found 0"),
        (lambda b: b + b"\0", "is too long: its header promises .* = 1200 .* found 1201"),
        (lambda b: b"\0\0\x0d" + b[3:], "must begin with the bytes 00 00 08 03 .* 00 00 0d 03"),
        (lambda b: b"\0\0\x08\1" + b[4:], "must begin with the bytes 00 00 08 03 .* 00 00 08 01"),
        (gzip.compress, "must begin with the bytes 00 00 08 03 .* found 1f 8b"),
        (lambda b: b[:4] + b"\xff" * 12 + b[16:], "is truncated: its header promises 4294967295"),
        (lambda b: b[:4] + bytes(4) + b[8:16], "holds no examples: .* the size 0 x 5 x 6"),
    ],
)
def test_a_damaged_idx_file_is_refused(idx, damage, words):
    path = idx / TRAIN_X
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=rf"The file '.*{TRAIN_X}' {words}"):
        load_dataset(str(idx))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda b: b[:-20], "ended before the end-of-stream marker"),
        (lambda b: b[:5], "ended before the end-of-stream marker"),
        (lambda b: b[:-8] + bytes([b[-8] ^ 1]) + b[-7:], "CRC check failed"),
        (lambda b: b[:-4] + bytes(4), "Incorrect length of data"),
        (lambda b: b[:10] + b"\xff" * 20 + b[30:], "Error -3 while decompressing"),
        (gzip.decompress, "Not a gzipped file"),
        (lambda b: b + b"more", "Not a gzipped file"),
    ],
)
def test_a_damaged_gz_file_is_refused(tmp_path, damage, words):
    folder = write_idx(tmp_path / "gz", idx_arrays(), "{}.gz")
    path = folder / f"{TRAIN_X}.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=rf"{TRAIN_X}\.gz' must be a whole gzip file.* {words}"):
        load_dataset(str(folder))


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        (TRAIN_Y, np.arange(39) % 4, "found 40 images in '.*' and 39 labels in '.*'"),
        (TEST_Y, np.arange(21) % 4, "found 20 images in '.*' and 21 labels in '.*'"),
        (TEST_X, np.ones((20, 6, 5)), "must have the same size, found 5 x 6 and 6 x 5 pixels"),
        (TRAIN_Y, np.arange(40) % 4 + 1, "must be 0, 1, 2, … .* from 1 to 4, 4 of them distinct"),
        (TRAIN_Y, np.where(np.arange(40), 1, 255), "from 1 to 255, 2 of them distinct"),
        (TRAIN_Y, np.zeros(40), "two classes or more, found labels from 0 to 0, 1 of them"),
        (TEST_Y, np.arange(20) % 5, "must be from 0 to 3, as in '.*', found 4 at index 4"),
        (TRAIN_X, np.full((40, 5, 6), 7), "found the one value 7 in every pixel of channel 0"),
    ],
)
def test_idx_files_that_do_not_fit_together_are_refused(idx, name, array, words):
    write_idx(idx, {name: array.astype(np.uint8)})
    with pytest.raises(DataError, match=words):
        load_dataset(str(idx))


def test_idx_files_without_examples_are_refused(tmp_path):
    folder = write_idx(tmp_path / "none", idx_arrays(test=0))
    with pytest.raises(DataError, match=f"{TEST_X}' holds no examples: .* the size 0 x 5 x 6"):
        load_dataset(str(folder))


@pytest.mark.parametrize("name", CIFAR_FILES)
def test_a_missing_cifar_batch_is_named(cifar, name):
    (cifar / name).unlink()
    with pytest.raises(DataError, match=rf"batches' must hold .* it lacks {name}\."):
        load_dataset(str(cifar))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda b: b[:-1],
            "must hold .* 3073 bytes, found 61459 bytes, .* 19 records and a rest of 3072",
        ),
        (
            lambda b: b + b"\0",
            "must hold .* 3073 bytes, found 61461 bytes, .* 20 records and a rest of 1",
        ),
        (lambda b: b"", "must hold one or more whole records of 3073 bytes, found 0 bytes"),
        (lambda b: b[:3073] + b"\x0a" + b[3074:], "must be from 0 to 9, found 10 in record 1"),
    ],
)
@pytest.mark.parametrize("name", ["data_batch_3.bin", "test_batch.bin"])
def test_a_damaged_cifar_batch_is_refused(cifar, damage, words, name):
    path = cifar / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=rf"{name}' {words}"):
        load_dataset(str(cifar))


def test_a_file_that_cannot_be_read_is_named(idx, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=rf"{TRAIN_X}' cannot be read: Permission denied\."):
        load_dataset(str(idx))


def test_scikit_learn_is_imported_for_the_digits_only():
    code = "import etaeff.studies.data._datasets, sys; print('sklearn' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout == "False\n"
