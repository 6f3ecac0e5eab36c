"""What a published training setting says of its optimiser, data and length."""

from dataclasses import dataclass

from etaeff.theory.settings._setting import Setting


@dataclass(frozen=True, kw_only=True)
class PublishedSetting:
    r"""How one model was trained. `None` where the optimiser has no such argument.

    Attributes:
        name: What `published_setting` knows it by.
        model: The network.
        data: What it was trained on.
        optimizer: `"sgd"`, `"rmsprop"`, `"adam"`, `"adamw"`, `"lion"` or `"muon"`. `"sgd"`,
            `"rmsprop"` and `"adam"` have the penalty in the gradient, the others the decoupled
            decay $w \leftarrow w - \eta\lambda w$, whatever the source calls them.
        lr: Peak learning rate $\eta$, per step. Muon's is the one that multiplies
            $0.2\sqrt{\max(m, n)}$ times the orthogonalised $m \times n$ momentum, a step whose
            entries have root mean square $0.2\,\eta$.
        wd: Weight decay $\lambda$ of the decayed weights.
        momentum: $\mu$ of SGD, RMSProp or Muon.
        betas: $(\beta_1, \beta_2)$ of Adam, AdamW or Lion.
        nesterov: Whether the momentum of SGD or Muon is Nesterov's.
        batch: Examples per step, at its final size where it grows.
        batch_unit: What `batch` and `examples` count: `"images"`, `"sequences"` or `"tokens"`.
        examples: Size of the training set; `None` where it is not published, or where the run
            counts its tokens and not its epochs.
        steps: Optimiser steps. Where the source counts epochs: epochs times the batches that
            its loader makes of one, full ones where the loader is not public.
        schedule: How the learning rate falls from its peak: `"constant"`, `"step"`, `"cosine"`
            or `"linear"`. A warm-up is not counted as part of it.
        source: Paper, or repository and file, that the numbers are from.
    """

    name: str
    model: str
    data: str
    optimizer: str
    lr: float
    wd: float
    momentum: float | None = None
    betas: tuple[float, float] | None = None
    nesterov: bool | None = None
    batch: int
    batch_unit: str
    examples: int | None
    steps: int | None
    schedule: str
    source: str

    @property
    def setting(self) -> Setting:
        """The optimiser and its numbers, Muon's with the rate that `lr` is meant for."""
        return Setting(
            optimizer=self.optimizer,
            lr=self.lr,
            wd=self.wd,
            momentum=self.momentum,
            nesterov=self.nesterov,
            betas=self.betas,
            adjust_lr_fn="match_rms_adamw" if self.optimizer == "muon" else None,
        )
