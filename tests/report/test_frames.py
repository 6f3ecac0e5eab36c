import json

import polars as pl
import pytest

from etaeff.errors import DataError, StudyError
from etaeff.report._frames import read_frames


@pytest.fixture
def folder(make, write_study):
    rows = make.trials(*make.settings(wd=(0.0, 0.1)))
    return write_study(make.frames(rows, rescalings=make.rescalings(rows, {(2.0, 1e-5): 1e-4})))


def test_everything_is_read(folder):
    frames = read_frames(folder)
    assert len(frames.trials) == 4
    assert len(frames.epochs) == 4 * 10 * 2
    assert len(frames.rescalings) == 4
    assert [claim.title for claim in frames.claims] == ["A title"]
    assert frames.specification["data"] == "digits"
    assert frames.sessions[0]["torch"] == "2.13.0"


def test_rescalings_may_be_absent(folder):
    (folder / "rescalings.parquet").unlink()
    assert read_frames(folder).rescalings.is_empty()


def test_columns_of_nulls_get_their_types(folder):
    path = folder / "results.parquet"
    rows = pl.read_parquet(path).with_columns(lr_rest=None, diverged_epoch=None)
    assert rows.schema["lr_rest"] == pl.Null
    rows.write_parquet(path)
    trials = read_frames(folder).trials
    assert trials.schema["lr_rest"] == pl.Float64
    assert trials.schema["diverged_epoch"] == pl.Int64


@pytest.mark.parametrize("name", ["results.parquet", "epochs.parquet", "claims.json"])
def test_missing_file_is_refused(folder, name):
    (folder / name).unlink()
    with pytest.raises(StudyError, match=f"no finished study in '.*': '{name}' is missing"):
        read_frames(folder)


@pytest.mark.parametrize("name", ["results.parquet", "epochs.parquet", "rescalings.parquet"])
@pytest.mark.parametrize("kept", [0.0, 0.002, 0.1, 0.5, 0.9, 0.999])
def test_truncated_table_is_refused(folder, name, kept):
    path = folder / name
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DataError, match=rf"{name}' is truncated or damaged: [^\n]+\.$"):
        read_frames(folder)


@pytest.mark.parametrize("name", ["results.parquet", "epochs.parquet"])
def test_table_of_another_kind_is_refused(folder, name):
    path = folder / name
    path.write_text("trial,lr\n", encoding="utf-8")
    with pytest.raises(DataError, match=f"{name}' is truncated or damaged"):
        read_frames(folder)
    pl.DataFrame({"trial": ["a"]}).write_parquet(path)
    with pytest.raises(DataError, match=rf"{name}' is not what a study writes: it has no column"):
        read_frames(folder)


def test_column_of_another_type_is_refused(folder):
    path = folder / "results.parquet"
    pl.read_parquet(path).with_columns(lr=pl.lit("much")).write_parquet(path)
    with pytest.raises(DataError, match=r"results\.parquet' is not what a study writes"):
        read_frames(folder)


@pytest.mark.parametrize("text", ["", "{", '{"claims": [', "\udcff"])
def test_truncated_claims_are_refused(folder, text):
    (folder / "claims.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(DataError, match=r"claims\.json' is truncated or damaged"):
        read_frames(folder)


@pytest.mark.parametrize("value", [[], 3, {}, {"specification": []}])
def test_claims_of_another_shape_are_refused(folder, value):
    (folder / "claims.json").write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(DataError, match=r"claims\.json' is not what a study writes"):
        read_frames(folder)


def test_sessions_may_be_absent(folder, make):
    (folder / "claims.json").write_text(json.dumps(make.content() | {"sessions": None}))
    assert read_frames(folder).sessions == []


def test_files_of_two_studies_are_refused(folder, make):
    (folder / "claims.json").write_text(json.dumps(make.content(trials=5)), encoding="utf-8")
    with pytest.raises(
        DataError, match=r"holds 4 trials, and 'claims\.json' beside it speaks of 5"
    ):
        read_frames(folder)
