import subprocess
import sys

import pytest

import etaeff.report._figures as figures
from etaeff.errors import DataError, MissingExtraError, StudyError
from etaeff.report import _report, write_report
from etaeff.report._figures import PLOTS


def names(folder):
    return sorted(file.name for file in folder.iterdir())


@pytest.fixture
def one_plot(monkeypatch):
    """Reports of one figure, which takes less time."""
    (plot,) = [plot for plot in PLOTS if plot.name == "gains"]
    monkeypatch.setattr(figures, "PLOTS", (plot,))


@pytest.fixture
def folder(whole_study, write_study):
    return write_study(whole_study)


def test_every_figure_is_written_and_is_in_the_report(reported):
    expected = sorted(f"{plot.name}.{end}" for plot in PLOTS for end in ("svg", "png"))
    assert names(reported / "figures") == expected
    text = (reported / "report.html").read_text(encoding="utf-8")
    assert text.count("<img") == len(PLOTS)
    assert text.endswith("</html>\n")
    assert len(text.encode()) < 3_000_000


@pytest.mark.usefixtures("one_plot")
def test_the_same_results_give_the_same_files(folder):
    path = write_report(folder)
    assert path == folder / "report.html"
    files = [path, *(folder / "figures").iterdir()]
    first = [file.read_bytes() for file in files]
    write_report(folder)
    assert [file.read_bytes() for file in files] == first


@pytest.mark.usefixtures("one_plot")
def test_figure_of_earlier_results_does_not_stay(folder, make, write_study):
    write_report(folder)
    assert names(folder / "figures") == ["gains.png", "gains.svg"]
    (folder / "figures" / "mine.png").write_bytes(b"")
    write_study(make.frames([make.trial()]))
    assert "<img" not in write_report(folder).read_text(encoding="utf-8")
    assert names(folder / "figures") == ["mine.png"]


@pytest.mark.usefixtures("one_plot")
@pytest.mark.parametrize("fails", ["gains.svg", "gains.png", "report.html"])
def test_interrupted_report_leaves_the_old_one(folder, monkeypatch, fails):
    path = write_report(folder)
    path.write_text("the old one", encoding="utf-8")
    write = _report.write_atomically

    def interrupted(target, content):
        if target.name == fails:
            raise KeyboardInterrupt
        write(target, content)

    monkeypatch.setattr(_report, "write_atomically", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_report(folder)
    assert path.read_text(encoding="utf-8") == "the old one"
    assert not [name for name in names(folder) if name.startswith(".")]


def test_figure_that_cannot_be_drawn_changes_nothing(folder, monkeypatch):
    def fail(frames):
        raise RuntimeError

    monkeypatch.setattr(figures, "draw", fail)
    before = names(folder)
    with pytest.raises(RuntimeError):
        write_report(folder)
    assert names(folder) == before


def test_folder_without_a_study_is_refused(tmp_path):
    sentence = r"There is no finished study in '.*': 'results\.parquet' is missing\.$"
    with pytest.raises(StudyError, match=sentence):
        write_report(tmp_path)
    with pytest.raises(StudyError, match=sentence):
        write_report(tmp_path / "absent")
    assert names(tmp_path) == []


def test_truncated_study_is_refused_and_writes_nothing(folder):
    (folder / "epochs.parquet").write_bytes(b"PAR1")
    before = names(folder)
    with pytest.raises(DataError, match=r"epochs\.parquet' is truncated or damaged"):
        write_report(folder)
    assert names(folder) == before


@pytest.mark.usefixtures("one_plot")
def test_file_in_the_place_of_the_figures_is_refused(folder):
    (folder / "figures").write_bytes(b"")
    with pytest.raises(StudyError, match="figures' must be a folder for the figures, and is a"):
        write_report(folder)
    assert "report.html" not in names(folder)


@pytest.mark.parametrize("package", ["polars", "matplotlib", "jinja2"])
def test_missing_package_is_one_sentence(tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"'{package}'.*pip install 'etaeff\[report\]'$"):
        write_report(tmp_path)


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, etaeff.report; "
        "print(*sys.modules.keys() & {'polars', 'matplotlib', 'jinja2', 'numpy', 'torch'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
