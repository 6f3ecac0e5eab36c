"""An audit as plain values, for JSON, and back."""

from collections.abc import Mapping
from dataclasses import asdict
from fractions import Fraction
from typing import Any

from etaeff.geometry import Block
from etaeff.records.audits import DecayKind, Ground, SymmetryKind, notes_of
from etaeff.symmetry._effects import DecayEffect
from etaeff.symmetry._forecasts import GroupForecast
from etaeff.symmetry._symmetry import Symmetry


def of_symmetry(symmetry: Symmetry) -> dict[str, Any]:
    """The values of a symmetry."""
    return {
        "kind": symmetry.kind.value,
        "exponents": {name: str(value) for name, value in symmetry.exponents.items()},
        "degree": str(symmetry.degree),
        "proved": symmetry.proved,
        "defect": symmetry.defect,
        "own_defect": symmetry.own_defect,
    }


def of_effect(decay: DecayEffect) -> dict[str, Any]:
    """The values of a verdict."""
    return {
        "shape": list(decay.shape),
        "group": decay.group,
        "effect": decay.effect.value,
        "why": decay.why,
        "ground": decay.ground.value,
    }


def of_forecast(forecast: GroupForecast) -> dict[str, Any]:
    """The values of what a param group comes to."""
    return asdict(forecast) | {"names": list(forecast.names)}


def read(values: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that make an audit of its values; what older files do not say is left out."""
    return {
        "model": values["model"],
        "symmetries": tuple(_symmetry(s) for s in values["symmetries"]),
        "blocks": tuple(
            Block(tuple(b["names"]), axis=b["axis"], count=b["count"]) for b in values["blocks"]
        ),
        "parameters": {name: _effect(name, p) for name, p in values["parameters"].items()},
        "notes": notes_of(values),
        "rank": values["rank"],
        "tracer": values["tracer"],
        "mode": values.get("mode", "train"),
        "outputs": tuple(values.get("outputs", ())),
        "piece_symmetries": tuple(_symmetry(s) for s in values.get("piece_symmetries", ())),
        "forecasts": tuple(
            GroupForecast(**{**one, "names": tuple(one["names"])})
            for one in values.get("forecasts", ())
        ),
    }


def _symmetry(values: Mapping[str, Any]) -> Symmetry:
    """The symmetry of its values."""
    return Symmetry(
        kind=SymmetryKind(values["kind"]),
        exponents={name: Fraction(value) for name, value in values["exponents"].items()},
        degree=Fraction(values["degree"]),
        proved=values["proved"],
        defect=values["defect"],
        own_defect=values["own_defect"],
    )


def _effect(name: str, values: Mapping[str, Any]) -> DecayEffect:
    """The verdict of its values."""
    return DecayEffect(
        name,
        tuple(values["shape"]),
        DecayKind(values["effect"]),
        values["why"],
        Ground(values.get("ground", Ground.NOT_KNOWN)),
    )
