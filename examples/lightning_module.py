"""Lightning with weights at norm 1: checkpoints, and a run that goes on where another stopped.

python examples/lightning_module.py
"""

import logging
import tempfile
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import etaeff
from etaeff.geometry import block_norms
from etaeff.optim import SphereSGD
from etaeff.studies import load_dataset


class Classifier(lightning.LightningModule):
    """An MLP with Batch Normalization."""

    def __init__(self, epochs: int) -> None:
        """The schedule ends after so many epochs."""
        super().__init__()
        self.save_hyperparameters()
        layers = [nn.Flatten(), nn.Linear(64, 96), nn.BatchNorm1d(96), nn.ReLU()]
        layers += [nn.Linear(96, 96), nn.BatchNorm1d(96), nn.ReLU(), nn.Linear(96, 10)]
        self.net = nn.Sequential(*layers)
        self.audit = etaeff.audit(self.net, (torch.randn(8, 1, 8, 8),))

    def configure_optimizers(self) -> Any:
        """With step="equilibrium", lr and weight_decay are those of plain SGD."""
        groups = self.audit.param_groups(lr=0.1, weight_decay=5e-4, step="equilibrium")
        optimizer = SphereSGD(groups, momentum=0.9)
        epochs = self.hparams.epochs
        return [optimizer], [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)]

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        """The loss of a batch."""
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        """The accuracy, and how far the norms are off 1."""
        tensors = dict(self.net.named_parameters())
        norms = torch.cat([block_norms(block, tensors) for block in self.audit.blocks])
        self.log("accuracy", (self.net(batch[0]).argmax(1) == batch[1]).float().mean())
        self.log("norms off 1 by", (norms - 1).abs().max())


def main() -> None:
    """Train once through, and once in two halves."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    data = load_dataset("digits")
    x, y, test_x, test_y = map(
        torch.from_numpy, (data.train_x, data.train_y, data.test_x, data.test_y)
    )
    train = DataLoader(TensorDataset(x, y), batch_size=30)
    test = DataLoader(TensorDataset(test_x, test_y), batch_size=len(test_x))

    def trained(
        epochs: int, checkpoint: Path | None = None
    ) -> tuple[Classifier, lightning.Trainer]:
        lightning.seed_everything(0, verbose=False)
        model = Classifier(epochs=10)
        trainer = lightning.Trainer(
            max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(model, train, test, ckpt_path=checkpoint)
        return model, trainer

    whole, trainer = trained(10)
    print({k: float(v) for k, v in trainer.callback_metrics.items()})
    with tempfile.TemporaryDirectory() as folder:
        _, half = trained(5)
        half.save_checkpoint(Path(folder) / "half.ckpt")
        resumed, _ = trained(10, Path(folder) / "half.ckpt")
    pairs = zip(whole.parameters(), resumed.parameters(), strict=True)
    print(f"resumed equals unbroken, bit for bit: {all(torch.equal(*pair) for pair in pairs)}")


if __name__ == "__main__":
    main()
