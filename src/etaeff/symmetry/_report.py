"""What an audit says: symmetries, blocks, and what decay does to each parameter."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any
from weakref import ref

from torch import Tensor, nn

from etaeff.errors import DataError, UnknownNameError, UsageError
from etaeff.geometry import Block, param_groups
from etaeff.records.audits import DecayKind, Ground, Note, SymmetryKind, notes_of
from etaeff.symmetry._effects import DecayEffect
from etaeff.symmetry._symmetry import Symmetry
from etaeff.symmetry._table import audit_line, audit_table


@dataclass(frozen=True)
class Audit:
    """What a model's scaling symmetries are, and what weight decay does to its parameters.

    Attributes:
        model: Class of the model.
        symmetries: A basis that people can read: block-wise, sparse, in whole numbers; first
            those of single tensors.
        blocks: Blocks that are scale-invariant, each cut as finely as it is invariant.
        parameters: What decay does to each parameter, by name.
        notes: Sentences, each with its `kind`: what could not be proved, what is missing, what was
            assumed.
        rank: Dimension of the symmetries, inert directions included, homogeneous ones not.
        mode: In which the model was: `"train"`, `"eval"`, or `"mixed"`.
        tracer: What the proof stands on: `"torch.export"`, `"dispatch log"` (the operators that
            ran on these inputs), or `"none"`.
        outputs: What the tensors are called that counted as outputs: fields, keys and places of
            what the model returns. None if it was read from a file that does not say.
    """

    model: str
    symmetries: tuple[Symmetry, ...]
    blocks: tuple[Block, ...]
    parameters: Mapping[str, DecayEffect]
    notes: tuple[Note, ...]
    rank: int
    tracer: str = "torch.export"
    mode: str = "train"
    outputs: tuple[str, ...] = field(default=(), kw_only=True)
    _model: "ref[nn.Module] | None" = field(default=None, repr=False, compare=False)
    _tensors: Mapping[str, Tensor] | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        """A line: model, rank, symmetries by kind, blocks."""
        return audit_line(self.to_dict())

    def __str__(self) -> str:
        """A table for a terminal, with what is alike told once; `to_dict` has everything."""
        return audit_table(self.to_dict())

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter, by name."""
        return {name: decay.shape for name, decay in self.parameters.items()}

    def effect_of_decay(self, name: str) -> str:
        """What weight decay does to a parameter, and why, in a sentence."""
        if name not in self.parameters:
            raise UnknownNameError("parameter", name, self.parameters)
        decay = self.parameters[name]
        return f"Decay {decay.effect}: {decay.why}"

    def param_groups(
        self,
        *,
        lr: float,
        weight_decay: float,
        mode: str | None = "projected",
        radius: str | float = "unit",
        sphere_lr: float | None = None,
        step: str | None = "",
    ) -> list[dict[str, Any]]:
        """Groups for the optimisers of `etaeff.optim`, or of torch: the blocks, and the rest.

        With `mode=None` no block is on a sphere: the scale-invariant parameters form a group, with
        decay, which sets their effective learning rate. Parameters that are proved to have no
        effect never decay. See `etaeff.param_groups` for the arguments.

        Raises:
            UsageError: If the audit was read from a file and has no model, or the model's
                parameters were replaced since then.
        """
        if self._tensors is None:
            raise UsageError("This audit has no model: it was read back. Audit the model again.")
        self._check_replaced(self._tensors)
        shown = [s for s in self.symmetries if s.kind is SymmetryKind.INERT and s.proved]
        inert = [name for symmetry in shown for name in symmetry.exponents]
        trained = {
            name: tensor
            for name, tensor in self._tensors.items()
            if self.parameters[name].effect is not DecayKind.FROZEN
        }
        groups = param_groups(
            trained,
            self.blocks if mode is not None else (),
            lr=lr,
            weight_decay=weight_decay,
            sphere_lr=sphere_lr,
            mode="projected" if mode is None else mode,
            radius=radius,
            without_decay=inert,
            step=step,
        )
        if mode is not None:
            return groups
        invariant = {
            id(self._tensors[name])
            for name, decay in self.parameters.items()
            if decay.effect is DecayKind.SETS_LR
        }
        free: dict[str, Any] = next(
            (group for group in groups if group["kind"] == "other"), {"params": []}
        )
        first = [p for p in free["params"] if id(p) in invariant]
        free["params"] = [p for p in free["params"] if id(p) not in invariant]
        groups.insert(0, free | {"params": first, "kind": "scale-invariant"})
        return [group for group in groups if group["params"]]

    def _check_replaced(self, tensors: Mapping[str, Tensor]) -> None:
        """An optimiser of parameters that the model has no more would train nothing."""
        model = self._model() if self._model is not None else None
        if model is None:
            return
        now = {id(p) for p in model.parameters()}
        gone = next((name for name, p in tensors.items() if id(p) not in now), None)
        if gone is not None:
            raise UsageError(
                f"The model has another parameter than the audited one at {gone!r}: it was "
                "sharded, or changed. Use `etaeff.param_groups(model, audit.blocks, ...)`."
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; exponents as strings such as "1" or "-1/2"."""
        return {
            "model": self.model,
            "rank": self.rank,
            "tracer": self.tracer,
            "mode": self.mode,
            "outputs": list(self.outputs),
            "symmetries": [
                {
                    "kind": s.kind.value,
                    "exponents": {name: str(value) for name, value in s.exponents.items()},
                    "degree": str(s.degree),
                    "proved": s.proved,
                    "defect": s.defect,
                    "own_defect": s.own_defect,
                }
                for s in self.symmetries
            ],
            "blocks": [
                {"names": list(b.names), "axis": b.axis, "count": b.count} for b in self.blocks
            ],
            "parameters": {
                name: {
                    "shape": list(decay.shape),
                    "group": decay.group,
                    "effect": decay.effect.value,
                    "why": decay.why,
                    "ground": decay.ground.value,
                }
                for name, decay in self.parameters.items()
            },
            "notes": [str(note) for note in self.notes],
            "note_kinds": [{"kind": n.kind.word, "names": list(n.names)} for n in self.notes],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Audit":
        """The audit that `to_dict` wrote; without the model, so without `param_groups`.

        Raises:
            DataError: If the values are not an audit's.
        """
        try:
            return cls._read(values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"These are not the values of an audit: {type(error).__name__}: {error}. They must "
                "be what `Audit.to_dict` returned."
            ) from None

    @classmethod
    def _read(cls, values: Mapping[str, Any]) -> "Audit":
        """The audit in values that are one."""
        return cls(
            model=values["model"],
            symmetries=tuple(
                Symmetry(
                    kind=SymmetryKind(s["kind"]),
                    exponents={name: Fraction(value) for name, value in s["exponents"].items()},
                    degree=Fraction(s["degree"]),
                    proved=s["proved"],
                    defect=s["defect"],
                    own_defect=s["own_defect"],
                )
                for s in values["symmetries"]
            ),
            blocks=tuple(
                Block(tuple(b["names"]), axis=b["axis"], count=b["count"]) for b in values["blocks"]
            ),
            parameters={
                name: DecayEffect(
                    name,
                    tuple(p["shape"]),
                    DecayKind(p["effect"]),
                    p["why"],
                    Ground(p.get("ground", Ground.NOT_KNOWN)),
                )
                for name, p in values["parameters"].items()
            },
            notes=notes_of(values),
            rank=values["rank"],
            tracer=values["tracer"],
            mode=values.get("mode", "train"),
            outputs=tuple(values.get("outputs", ())),
        )
