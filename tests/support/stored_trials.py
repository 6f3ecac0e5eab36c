"""Trials and rows of their results as a store keeps them, of any size."""

from etaeff.records import EpochRow, LayerRow, OutcomeRow, RescaleRow, Trial, TrialResults


def trial(seed):
    return Trial.of(data="digits", train_size=600, lr=0.1, steps=10, seed=seed)


def results(*seeds, epochs=3):
    """Rows of some trials: one outcome, `epochs` epochs and layers, and a rescaling each."""
    ids = [trial(seed).id for seed in seeds]
    return TrialResults(
        [OutcomeRow(i, None, 0.5) for i in ids],
        [EpochRow(i, e, 9 * e, 2.3, None, 0.9) for i in ids for e in range(1, epochs + 1)],
        [LayerRow(i, e, "w", 1.0, 1.0, 0.1, 1e-3, 0.2) for i in ids for e in range(1, epochs + 1)],
        [RescaleRow(i, 2.0, 0.0, 0.0) for i in ids],
    )
