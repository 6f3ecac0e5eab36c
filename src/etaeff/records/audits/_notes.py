"""The notes of an audit: a kind for programs, a sentence for people."""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

from etaeff._words import named


class NoteKind(Enum):
    """What a note is about; the value is its sentence, with braces where the facts go."""

    # What the graph is.
    LOGGED = (
        "torch.export cannot trace it ({failure}), so the operators were logged as they ran: what "
        "is proved holds for the path through the model that these inputs took."
    )
    NOT_COMPARED = (
        "What was traced could not be compared with the model itself at other weights: {error}"
    )
    CHANCE = (
        "The model draws from Python's or NumPy's chance, or chance decides which operators run: "
        "of {draws} draws, {graphs}. What is proved holds for each of them, but for branches that "
        "are dropped in some: those are kept."
    )
    NOT_TRACED = (
        "It could not be traced, so nothing is proved. torch.export: {failure} A log of the "
        "operators: {reason}"
    )
    NO_RULE = (
        "No rule is known for {names}: what feeds it was taken to have a fixed scale, so "
        "symmetries that pass through it are not proved."
    )
    # What was audited.
    EVAL_MODE = (
        "Audited in eval mode, as the model is: Batch Normalization has fixed statistics and what "
        "stands before it a fixed scale. `training=True` audits it as it trains."
    )
    MIXED_MODES = (
        "Audited with some modules in eval mode, as the model is: {names}. `training=True` audits "
        "it with all in training mode."
    )
    NOT_TRAINED = "In no param group of the optimizer, which leaves it as it is: {names}."
    MANY_OUTPUTS = (
        "It returns {count} tensors, and all count as outputs. What one of them sees is no "
        "symmetry, though the loss may not see it: name those that enter the loss, with `outputs` "
        "or `--output`."
    )
    # What was measured.
    NOT_MEASURED = "It could not be measured on {call}: {error}"
    DENIED = (
        "The graph shows, and the measurement denies, that the outputs do not change with {names}; "
        "it is left out."
    )
    WITHOUT_GRADIENT = (
        "{names}: no gradient in any sample, and yet the outputs depend on it, where a "
        "nonlinearity is flat or a value is rounded."
    )
    NOT_REACHED = (
        "Not reached: {names}. No gradient came to it, and no output changed with it, in any "
        "sample. Audit with inputs that reach it; until then nothing is said of it."
    )
    INERT_UNPROVED = "Measured, and not proved: {names} without effect, in {samples} samples."
    INVARIANT_UNPROVED = "Measured, and not proved: {names} scale-invariant."
    UNPROVED = (
        "Measured, and not proved: outputs do not change when {names} are scaled, each by a power "
        "of its own."
    )
    PARTS = (
        "Measured: of {names}, {parts} are scale-invariant by themselves. Split the tensor to "
        "treat them apart."
    )
    WITHOUT_BLOCK = (
        "{names}: scale-invariant only together with tensors of which one is in another block, or "
        "at other powers, and so in no block."
    )
    NOT_KNOWN = (
        "Not known: what decay does to {names}. No scaling of it was found, and it was not shown "
        "that there is none."
    )
    # What samples alone say.
    NOT_SEARCHED = (
        "Symmetries that the proof may miss were not searched for, which would have taken longer "
        "than all else. `discover=True` does."
    )
    NONE_MISSED = (
        "Random gradients allow {dimension} independent scalings, and {rank} were found: the proof "
        "missed none."
    )
    MORE_ALLOWED = (
        "Random gradients allow {dimension} independent scalings, and {rank} were found. Scaled "
        "along the others, the outputs change, or those are no fractions: none is known to be "
        "missed."
    )
    MISSED = (
        "Random gradients allow {dimension} independent scalings, and {rank} are proved: the proof "
        "missed {missed}."
    )
    # Read from a file that says no kind.
    UNCLASSIFIED = "{text}"

    @property
    def is_doubt(self) -> bool:
        """Whether it says that something is not proved which might be."""
        return self in _DOUBTS

    @property
    def word(self) -> str:
        """The kind in a word, such as `"no_rule"`, for JSON."""
        return self.name.lower()

    def note(self, names: Iterable[str] = (), **facts: Any) -> "Note":
        """The note of this kind on some parameters or operators.

        Examples:
            >>> NoteKind.INVARIANT_UNPROVED.note(["router.weight"])
            'Measured, and not proved: `router.weight` scale-invariant.'
        """
        given = tuple(names)
        return Note(self.value.format(names=named(given), **facts), self, given)


_DOUBTS = frozenset(
    {
        NoteKind.NOT_COMPARED,
        NoteKind.NOT_TRACED,
        NoteKind.NO_RULE,
        NoteKind.NOT_MEASURED,
        NoteKind.DENIED,
    }
)


class Note(str):
    """A sentence of an audit that knows what it is about.

    Examples:
        >>> note = NoteKind.NO_RULE.note(["special_bessel_j0"])
        >>> note.kind.is_doubt, note.names, note[:34]
        (True, ('special_bessel_j0',), 'No rule is known for `special_bess')
    """

    __slots__ = ("_kind", "_names")

    _kind: NoteKind
    _names: tuple[str, ...]

    def __new__(
        cls, text: str, kind: NoteKind = NoteKind.UNCLASSIFIED, names: Iterable[str] = ()
    ) -> "Note":
        """The sentence `text` of a kind."""
        note = super().__new__(cls, text)
        note._kind, note._names = kind, tuple(names)
        return note

    @property
    def kind(self) -> NoteKind:
        """What it is about."""
        return self._kind

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters, or the operators, that it names; all of them."""
        return self._names

    def __getnewargs__(self) -> tuple[str, NoteKind, tuple[str, ...]]:  # type: ignore[override]
        """What makes a copy."""
        return str(self), self._kind, self._names


def notes_of(values: Mapping[str, Any]) -> tuple[Note, ...]:
    """The notes in what `Audit.to_dict` returned.

    Those of a file that was written before notes had kinds are unclassified.

    Raises:
        ValueError: If a kind is not known, or there is not one for each sentence.
    """
    sentences = values["notes"]
    details = values.get("note_kinds")
    if details is None:
        return tuple(Note(text) for text in sentences)
    kinds = {kind.word: kind for kind in NoteKind}
    unknown = sorted({detail["kind"] for detail in details} - set(kinds))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no kind of note")
    return tuple(
        Note(text, kinds[detail["kind"]], detail["names"])
        for text, detail in zip(sentences, details, strict=True)
    )
