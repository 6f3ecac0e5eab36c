"""Notes: a sentence for people that is a value for programs."""

import copy
import json
import pickle
import re

import pytest

from etaeff.records.audits import DecayKind, Note, NoteKind, SymmetryKind, notes_of

FACTS = {
    "failure": "TypeError: {no} text", "reason": "because.", "error": "RuntimeError: it broke",
    "call": "(float32[2, 3])", "samples": 8, "change": 0.25, "parts": "2 of 4 equal pieces",
    "draws": 8, "graphs": "3 took paths of their own",
    "count": 6, "dimension": 3, "rank": 2, "missed": 1, "text": "A sentence.",
}  # fmt: skip


@pytest.mark.parametrize("kind", NoteKind, ids=lambda kind: kind.word)
def test_every_kind_has_a_sentence_of_its_facts(kind):
    note = kind.note(["a.weight"], **FACTS)
    assert (note.kind, note.names) == (kind, ("a.weight",))
    assert note[0].isupper() or note.startswith(("`a.weight`", "torch.export"))
    wanted = re.findall(r"{(\w+)", kind.value)
    assert all(
        str(value) in note for key, value in FACTS.items() if key in wanted and value != 0.25
    )
    assert ("`a.weight`" in note) == ("names" in wanted)


def test_a_note_is_its_sentence():
    note = NoteKind.DENIED.note(["a", "b"])
    assert note == str(note)
    assert type(str(note)) is str
    assert json.loads(json.dumps([note])) == [str(note)]
    assert "denies" in note


def test_a_note_stays_one_when_it_is_copied():
    note = NoteKind.NO_RULE.note(f"op{i}" for i in range(6))
    assert note.endswith("proved.")
    assert "and 2 more" in note  # of which `names` has all
    for other in (copy.copy(note), copy.deepcopy(note), pickle.loads(pickle.dumps(note))):
        assert (other, other.kind, other.names) == (note, note.kind, note.names)
        assert len(other.names) == 6


def test_a_note_is_not_changed():
    with pytest.raises(AttributeError):
        NoteKind.DENIED.note(["a"]).kind = NoteKind.NO_RULE


def test_notes_are_read_back_with_their_kinds():
    notes = (NoteKind.DENIED.note(["a"]), NoteKind.PARTS.note(["b"], parts="2 of 3 pieces"))
    values = {
        "notes": [str(note) for note in notes],
        "note_kinds": [{"kind": n.kind.word, "names": list(n.names)} for n in notes],
    }
    back = notes_of(json.loads(json.dumps(values)))
    assert [(n, n.kind, n.names) for n in back] == [(n, n.kind, n.names) for n in notes]


def test_sentences_without_kinds_are_unclassified():
    (note,) = notes_of({"notes": ["No rule is known for `x`."]})
    assert (note.kind, note.names) == (NoteKind.UNCLASSIFIED, ())
    assert Note("text").kind is NoteKind.UNCLASSIFIED


@pytest.mark.parametrize("details", [[{"kind": "rumour", "names": []}], []])
def test_kinds_that_do_not_fit_are_refused(details):
    with pytest.raises(ValueError, match=r"'rumour' is no kind of note|shorter"):
        notes_of({"notes": ["A note."], "note_kinds": details})


def test_words_are_strings():
    assert repr(SymmetryKind.RESCALING) == "'rescaling'"
    assert json.dumps(DecayKind.REGULARISES) == '"regularises"'
    assert f"Decay {DecayKind.BALANCES}" == "Decay balances a product"
    assert {SymmetryKind.INERT: 1}["inert"] == 1
    groups = "scale-invariant, other, other, inert, frozen, other, other"
    assert ", ".join(kind.group for kind in DecayKind) == groups
