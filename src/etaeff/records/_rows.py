"""The rows that training writes and reports read. One schema, in this one place.

Notation
    w    one block of weights (an output channel, or a whole layer)
    r    radius ‖w‖
    g    gradient of the loss at w, without the penalty; ḡ = r·g does not depend on r
"""

from typing import NamedTuple


class EpochRow(NamedTuple):
    """One epoch of one trial. All quantities are `None` once the trial has diverged.

    Attributes:
        trial: `Trial.id`.
        epoch: 1 for the first.
        step: Optimiser steps done when the epoch ended.
        train_loss: Mean cross-entropy over the epoch's batches, nats.
        test_loss: Mean cross-entropy on the test part at the end of the epoch, nats.
        test_error: Share of test examples misclassified at the end of the epoch, in [0, 1].
    """

    trial: str
    epoch: int
    step: int
    train_loss: float | None
    test_loss: float | None
    test_error: float | None


class LayerRow(NamedTuple):
    """One layer in one epoch, averaged over its blocks and the epoch's measured steps.

    Attributes:
        trial: `Trial.id`.
        epoch: 1 for the first.
        layer: Name of the weight.
        radius: Mean r.
        radius_4: Mean r⁴, which the equilibrium law of SGD speaks of.
        effective_lr: η/r² (SGD with or without momentum) or η/r (RMSProp, Adam, AdamW), of the
            mean r.
        angle: Root mean square of the angle that a block turns per step, radians.
        grad_norm_sq: Mean ‖ḡ‖².
    """

    trial: str
    epoch: int
    layer: str
    radius: float | None
    radius_4: float | None
    effective_lr: float | None
    angle: float | None
    grad_norm_sq: float | None


class RescaleRow(NamedTuple):
    """How far the trained network's outputs move when its normalised weights are scaled.

    Attributes:
        trial: `Trial.id`.
        factor: The factor on all normalised weights.
        eps: The ε of the normalisation in this measurement.
        change: Largest output change over largest output, in float64; `None` if diverged.
    """

    trial: str
    factor: float
    eps: float
    change: float | None


class OutcomeRow(NamedTuple):
    """What became of a trial.

    Attributes:
        trial: `Trial.id`.
        diverged_epoch: First epoch with a loss that is not finite, or `None`.
        wall_seconds: Wall time of the stack that the trial trained in, over the stack's size.
    """

    trial: str
    diverged_epoch: int | None
    wall_seconds: float


class TrialResults(NamedTuple):
    """All rows of a set of trials that finished together."""

    outcomes: list[OutcomeRow]
    epochs: list[EpochRow]
    layers: list[LayerRow]
    rescalings: list[RescaleRow]
