import json
import math

import polars as pl
import pytest

from etaeff.records import ClaimRecord, Finding, Trial
from etaeff.studies._export import export

UNKNOWN = {"estimate": math.nan, "low": math.nan, "high": math.nan,
           "expected_low": -math.inf, "expected_high": math.inf}  # fmt: skip
KNOWN = {"estimate": 0.25, "low": 0.24, "high": 0.26, "expected_low": 0.2, "expected_high": 0.3}


def claim(number, *numbers):
    findings = tuple(
        Finding(claim=number, part=f"part {i}", statistic="slope of η", unit="", seeds=3,
                trials=12, **values)
        for i, values in enumerate(numbers)
    )  # fmt: skip
    return ClaimRecord(
        number=number, title="Größe", statement="It is.", source="us", findings=findings
    )


@pytest.fixture
def results(synthetic, outcome):
    trials = [Trial.of(data="digits", train_size=600, lr=0.1, steps=9, seed=s) for s in range(3)]
    changes = {(2.0, 1e-5): 0.5}
    return synthetic((t, outcome(changes=changes, diverged=t.seed == 2)) for t in trials)


def strict(path):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_frames_come_back_as_they_were(tmp_path, results):
    export(tmp_path, {}, [], results, [])
    for name, frame in (
        ("results", results.trials), ("epochs", results.epochs), ("rescalings", results.rescalings)
    ):  # fmt: skip
        assert pl.read_parquet(tmp_path / f"{name}.parquet").equals(frame, null_equal=True)


def test_claims_come_as_strict_json_with_null_for_what_is_no_number(tmp_path, results):
    claims = [claim(1, KNOWN), claim(2, KNOWN, UNKNOWN)]
    sessions = [{"started": "now", "workers": 2}]
    export(tmp_path, {"study": "paper"}, sessions, results, claims)
    found = strict(tmp_path / "claims.json")
    assert found["specification"] == {"study": "paper"}
    assert found["sessions"] == sessions
    assert [c["verdict"] for c in found["claims"]] == ["holds", "undecided"]
    first, second = found["claims"]
    assert first["title"] == "Größe"
    assert first["findings"] == [
        {"claim": 1, "part": "part 0", "statistic": "slope of η", "unit": "", "seeds": 3,
         "trials": 12, "note": "", "verdict": "holds", **KNOWN}
    ]  # fmt: skip
    assert second["findings"][1]["verdict"] == "undecided"
    assert {second["findings"][1][name] for name in UNKNOWN} == {None}


def test_what_was_there_is_replaced_and_nothing_else_is_left(tmp_path, results):
    export(tmp_path, {}, [], results, [claim(1, KNOWN)])
    export(tmp_path, {}, [], results, [])
    assert strict(tmp_path / "claims.json")["claims"] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "claims.json", "epochs.parquet", "rescalings.parquet", "results.parquet",
    ]  # fmt: skip
