import json
import os
from datetime import UTC, datetime
from importlib.metadata import version

from etaeff.studies._session import session
from etaeff.studies.executors._pool import Pool


def test_a_session_says_when_with_what_and_on_what_it_ran():
    before = datetime.now(UTC).replace(microsecond=0)
    found = session(Pool(3))
    assert before <= datetime.fromisoformat(found["started"]) <= datetime.now(UTC)
    assert found["workers"] == 3
    assert found["threads per worker"] == 1
    assert found["processors"] == os.cpu_count()
    for package in ("etaeff", "torch", "numpy", "polars"):
        assert found[package] == version(package)
    assert found["processor"]
    assert json.loads(json.dumps(found)) == found
