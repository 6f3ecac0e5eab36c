import pytest


def test_a_report_is_made_again_and_its_path_is_printed(etaeff, tiny, tmp_path):
    out = tmp_path / "a"
    run = ("study", "run", "paper", "--preset", "tiny", "--quiet", "--out", out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("etaeff.report.write_report", lambda folder: folder / "report.html")
        assert etaeff(*run).code == 0
    done = etaeff("report", out)
    assert (done.code, done.out, done.err) == (0, f"Report: {out / 'report.html'}\n", "")
    assert "Scale invariance" in (out / "report.html").read_text(encoding="utf-8")


def test_a_study_in_which_everything_diverged_has_a_report(etaeff, tiny, monkeypatch, tmp_path):
    def train(stacks, data, workers):
        for stack in stacks:
            yield stack, tiny.diverged_rows(stack)

    monkeypatch.setattr("etaeff.studies._study.Pool", tiny.pool_of(train))
    done = etaeff("study", "run", "paper", "--preset", "tiny", "--out", tmp_path / "a")
    assert done.code == 0
    assert [line.split(": ")[1][:9] for line in done.out.splitlines()[:-1]] == ["undecided"] * 9
    assert (tmp_path / "a" / "report.html").is_file()


def test_a_folder_without_a_study_has_no_report(etaeff, tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        done = etaeff("report", folder)
        assert done.code == 1
        assert done.sentence == (
            f"There is no finished study in '{folder}': 'results.parquet' is missing."
        )
    assert list(tmp_path.iterdir()) == []
