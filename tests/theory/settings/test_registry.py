import pytest

from etaeff.errors import NoLawError
from etaeff.theory import Setting, equilibrium, radius_power
from etaeff.theory.settings import LAWLESS, OPTIMIZERS, title


def test_a_row_is_known_by_its_name_and_a_class_by_one_row():
    assert [row.name for row in OPTIMIZERS.values()] == list(OPTIMIZERS)
    classes = [kind for row in OPTIMIZERS.values() for kind in row.classes]
    assert len(classes) == len(set(classes))
    spheres = [row.sphere for row in OPTIMIZERS.values() if row.sphere]
    assert spheres == ["sphere-sgd", "sphere-adam", "sphere-lion", "sphere-muon"]


@pytest.mark.parametrize("row", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_row_names_what_it_has(row):
    assert row.memory is None or row.memory in row.defaults
    assert {argument for argument, _ in row.variants} <= set(row.defaults)
    assert row.decoupled_name is None or "decoupled" in OPTIMIZERS[row.decoupled_name].laws
    assert row.laws
    assert set(row.laws) <= {"l2", "decoupled"}


@pytest.mark.parametrize("kind", LAWLESS)
def test_what_has_no_law_is_refused_by_its_name_with_the_reason(kind):
    sentence = f"No law is derived for {kind}: {LAWLESS[kind]}."
    for ask in (radius_power, title, lambda name: equilibrium(name, lr=0.1, wd=0.1)):
        with pytest.raises(NoLawError) as refused:
            ask(kind.lower())
        assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("sgd lr=1 wd=0", "SGD"),
        ("sgd lr=1 wd=0 momentum=0", "SGD"),
        ("sgd lr=1 wd=0 momentum=0.9 nesterov=false", "heavy ball"),
        ("sgd lr=1 wd=0 momentum=0.9 nesterov=true", "Nesterov"),
        ("rmsprop lr=1 wd=0 momentum=0.9", "RMSProp"),
        ("adam lr=1 wd=0", "Adam"),
        ("adam lr=1 wd=0 decay=decoupled", "AdamW"),
        ("adamw lr=1 wd=0", "AdamW"),
        ("lion lr=1 wd=0", "Lion"),
        ("muon lr=1 wd=0", "Muon"),
        ("normalized lr=1 wd=0", "normalised gradients"),
        ("nadam lr=1 wd=0", "NAdam"),
    ],
)
def test_titles_are_those_of_papers(setting, expected):
    assert title(Setting.parse(setting)) == expected


def test_the_title_of_a_name_is_that_of_the_row():
    assert [title(name) for name in OPTIMIZERS] == [row.title for row in OPTIMIZERS.values()]
