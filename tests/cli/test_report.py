def test_a_report_is_made_again_and_its_path_is_printed(etaeff, tiny, tmp_path):
    assert etaeff("study", "run", "paper", "--preset", "tiny", "--out", tmp_path / "a").code == 0
    report = tmp_path / "a" / "report.html"
    before = report.read_bytes()
    report.unlink()
    done = etaeff("report", tmp_path / "a")
    assert (done.code, done.out, done.err) == (0, f"Report: {report}\n", "")
    assert report.read_bytes() == before


def test_a_folder_without_a_study_has_no_report(etaeff, tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        done = etaeff("report", folder)
        assert done.code == 1
        assert done.sentence == (
            f"There is no finished study in '{folder}': 'results.parquet' is missing."
        )
    assert list(tmp_path.iterdir()) == []
