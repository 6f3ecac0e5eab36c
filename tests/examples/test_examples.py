"""The examples, run as a user would run them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NUMBER = r"(\d[\d.]*(?:e[+-]\d+)?)"
OFF = 5e-7  # how far a norm may be from its radius


@pytest.fixture
def printed(tmp_path):
    """What an example prints in a folder of its own, in one thread and offline."""

    def run(name, *arguments, warnings="error"):
        done = subprocess.run(
            [sys.executable, "-W", warnings, EXAMPLES / name, *arguments],
            cwd=tmp_path,
            env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert list(tmp_path.glob("*")) == []  # it leaves nothing behind
        return done.stdout

    return run


def numbers(pattern, text):
    """The numbers in the one place where `pattern` stands; `#` is a number."""
    found = re.findall(re.escape(pattern).replace(r"\#", NUMBER), text)
    assert len(found) == 1, text
    return [float(number) for number in (found[0] if isinstance(found[0], tuple) else found)]


def test_all_are_short_explained_and_tested():
    files = sorted(EXAMPLES.glob("*.py"))
    assert len(files) == 5
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    tests = Path(__file__).read_text(encoding="utf-8")
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert len(text.splitlines()) < 80, file.name
        assert f"python examples/{file.name}" in text
        assert f"$ python examples/{file.name}" in page
        assert f'printed("{file.name}"' in tests


def test_resnet_reads_digits_better_than_a_linear_model(printed):
    said = printed("resnet_fashion_mnist.py")
    (accuracy,) = numbers("digits: test accuracy #%", said)
    assert 96.5 < accuracy < 100  # the best logistic regression on these 600 has 95.9
    count, off = numbers("# spheres, their norms off 1 by at most #", said)
    assert count == 8 + 2 * 8 + 16 + 2 * 16 + 32 + 4  # filters; and gains and shifts, as one each
    assert off < OFF


def test_gpt_learns_a_text(printed):
    said = printed("gpt_shakespeare.py")
    (before,) = numbers("loss on unseen text, before: #", said)
    (after,) = numbers("loss on unseen text, after: #", said)
    assert before > 4.5  # the logarithm of 103 letters is 4.6
    assert after < 2.45  # the frequencies of letters give 3.25, of pairs of letters 2.46
    count, off = numbers("# spheres, radii off by at most #", said)
    assert count == 2 * 2 * 4 + 1  # heads of q and k in two layers; the residual stream
    assert off < OFF


@pytest.mark.long
def test_gpt_reads_a_file(printed, tmp_path):
    # In another folder than it runs in.
    file = tmp_path.with_suffix(".txt")
    file.write_text("to be, or not to be: that is the question. " * 200, encoding="utf-8")
    said = printed("gpt_shakespeare.py", file, "--steps", "30")
    (after,) = numbers("loss on unseen text, after: #", said)
    assert after < 1  # the frequencies of letters give 2.43, of pairs of letters 1.01


def test_lightning_resumes_bit_for_bit(printed):
    said = printed("lightning_module.py", warnings="default")
    epochs = r"after (\d+) epochs: {'accuracy': '(.+)', 'norms off 1': '(.+)'}"
    whole, half, resumed = re.findall(epochs, said)
    assert (whole[0], half[0]) == ("10", "5")
    assert resumed == whole
    assert half[1] < whole[1]
    assert float(whole[1]) > 0.955  # a linear model trained as long has at most 0.950
    assert max(float(off) for _, _, off in (whole, half)) < OFF
    assert "resumed equals unbroken, bit for bit: True" in said


def test_huggingface_trainer_learns_to_repeat(printed):
    said = printed("huggingface_trainer.py", warnings="default")
    (before,) = numbers("loss on unseen words, before: #", said)
    (after,) = numbers("loss on unseen words, after: #", said)
    assert 3.3 < before < 3.7  # log(32) is 3.47
    assert after < 1.3  # who has learnt to repeat knows all but 5 of 23: 0.75
    count, off = numbers("# spheres under AcceleratedOptimizer, radii off by #", said)
    assert count == 2 * (4 + 2) + 1  # heads of q and k in two layers; the residual stream
    assert off < OFF


def test_fsdp2_equals_one_process(printed):
    said = printed("fsdp2.py")
    before, after = numbers("loss before #, after #", said)
    assert before > 2
    assert after < 0.6
    count, off = numbers("# spheres, their norms off 1 by at most #", said)
    assert count == 2
    assert off < OFF
    (gap,) = numbers("weights of one process differ by at most #", said)
    assert gap < 1e-6
