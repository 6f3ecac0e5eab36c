"""What an audit says: symmetries, blocks, and what decay does to each parameter."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import ref

from torch import Tensor, nn

from etaeff.errors import DataError, UnknownNameError, UsageError
from etaeff.geometry import Block, param_groups
from etaeff.records.audits import DecayKind, Note, SymmetryKind
from etaeff.symmetry._effects import DecayEffect
from etaeff.symmetry._forecasts import GroupForecast
from etaeff.symmetry._groups import trained, undecayed, with_group_of, without_verdict
from etaeff.symmetry._plain import of_effect, of_forecast, of_symmetry, read
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
        piece_symmetries: What is beyond `symmetries`, where the graph cuts tensors: parts of one
            are scaled apart, as the queries and keys of a fused matrix. Exponents are by the names
            of parts, such as `"qkv.weight[0:768]"`. They do not count in `rank`.
        forecasts: What lr and weight decay come to, for each param group of the optimiser that the
            audit was given.
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
    forecasts: tuple[GroupForecast, ...] = field(default=(), kw_only=True)
    piece_symmetries: tuple[Symmetry, ...] = field(default=(), kw_only=True)
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
        sphere_weight_decay: float | None = None,
        without_decay: str | Collection[str] | None = None,
        not_known: str = "other",
        structural: bool = True,
        step: str | None = "",
    ) -> list[dict[str, Any]]:
        """Groups for the optimisers of `etaeff.optim`, or of torch: the blocks, and the rest.

        Frozen parameters are in no group, and parameters that are proved to have no effect never
        decay.

        Args:
            lr: Of all groups, but for the blocks if `sphere_lr` is given.
            weight_decay: Of what is on no sphere and has decay.
            mode: As in `etaeff.param_groups`. With `None` no block is on a sphere: the
                scale-invariant parameters form a group, with decay, which sets their effective
                learning rate.
            radius: As in `etaeff.param_groups`, as are the next two.
            sphere_lr: Of the blocks.
            sphere_weight_decay: Of the blocks with `mode="equilibrium"`.
            without_decay: What is on no sphere and has no decay: `"standard"`, as is usual, for
                gains and biases (all of at most one axis, and all biases); or names or globs.
            not_known: What becomes of parameters of which the audit says that their verdict is
                not known, or that nothing reached them: `"other"`, they are treated as any other;
                `"without_decay"`; or `"refuse"`, if there are some.
            structural: Whether to heed what the audit found. With `False` the groups are the usual
                ones: with decay, and without.
            step: The old name of `mode`; refused.

        Returns:
            Up to four groups, with `kind` "sphere" or "scale-invariant", "other", and "without
            decay".

        Raises:
            UsageError: If the audit was read from a file and has no model, the model's parameters
                were replaced since then, or a value is none of those above.

        Examples:
            >>> import torch
            >>> from etaeff.symmetry import audit
            >>> model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
            >>> found = audit(model, (torch.randn(8, 3),))
            >>> groups = found.param_groups(
            ...     lr=0.1, weight_decay=5e-4, mode=None, without_decay="standard"
            ... )
            >>> [(group["kind"], group["weight_decay"], len(group["params"])) for group in groups]
            [('scale-invariant', 0.0005, 1), ('other', 0.0005, 1), ('without decay', 0.0, 4)]
        """
        if self._tensors is None:
            raise UsageError("This audit has no model: it was read back. Audit the model again.")
        self._check_replaced(self._tensors)
        tensors = trained(self._tensors, self.parameters)
        apart = without_verdict(self.parameters, not_known)
        if structural:
            shown = [s for s in self.symmetries if s.kind is SymmetryKind.INERT and s.proved]
            apart |= {name for symmetry in shown for name in symmetry.exponents}
        groups = param_groups(
            tensors,
            self.blocks if structural and mode is not None else (),
            lr=lr,
            weight_decay=weight_decay,
            sphere_lr=sphere_lr,
            sphere_weight_decay=sphere_weight_decay,
            mode="projected" if mode is None else mode,
            radius=radius,
            without_decay=apart | undecayed(tensors, without_decay),
            step=step,
        )
        if mode is not None or not structural:
            return groups
        return with_group_of(groups, self._scale_invariant)

    @property
    def _scale_invariant(self) -> set[int]:
        """The ids of the parameters whose decay sets their learning rate."""
        assert self._tensors is not None
        return {
            id(self._tensors[name])
            for name, decay in self.parameters.items()
            if decay.effect is DecayKind.SETS_LR
        }

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
            "symmetries": [of_symmetry(symmetry) for symmetry in self.symmetries],
            "piece_symmetries": [of_symmetry(symmetry) for symmetry in self.piece_symmetries],
            "blocks": [
                {"names": list(b.names), "axis": b.axis, "count": b.count} for b in self.blocks
            ],
            "parameters": {name: of_effect(decay) for name, decay in self.parameters.items()},
            "forecasts": [of_forecast(forecast) for forecast in self.forecasts],
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
            return cls(**read(values))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"These are not the values of an audit: {type(error).__name__}: {error}. They must "
                "be what `Audit.to_dict` returned."
            ) from None
