"""Lightning with weights at norm 1: checkpoints, and a run that goes on where another stopped.

python examples/lightning_module.py
"""

import tempfile
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR
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
        """With mode="equilibrium", lr and weight_decay are those of plain SGD."""
        groups = self.audit.param_groups(lr=0.1, weight_decay=5e-4, mode="equilibrium")
        optimizer = SphereSGD(groups, momentum=0.9)
        return [optimizer], [CosineAnnealingLR(optimizer, self.hparams.epochs)]

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        """The loss of a batch."""
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        """The accuracy, and how far the norms are off 1."""
        tensors = dict(self.net.named_parameters())
        norms = torch.cat([block_norms(block, tensors) for block in self.audit.blocks])
        accuracy = (self.net(batch[0]).argmax(1) == batch[1]).float().mean()
        self.log_dict({"accuracy": accuracy, "norms off 1": (norms - 1).abs().max()})


def main() -> None:
    """Train once through, and once in two halves."""
    data = load_dataset("digits")
    train = TensorDataset(torch.from_numpy(data.train_x), torch.from_numpy(data.train_y))
    test = TensorDataset(torch.from_numpy(data.test_x), torch.from_numpy(data.test_y))
    loaders = DataLoader(train, batch_size=30), DataLoader(test, batch_size=len(test))
    silent = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")

    def trained(epochs: int, checkpoint: str | None = None) -> lightning.Trainer:
        lightning.seed_everything(0, verbose=False)
        options = dict.fromkeys(silent, False) | {"accelerator": "cpu", "max_epochs": epochs}
        trainer = lightning.Trainer(**options)
        trainer.fit(Classifier(epochs=10), *loaders, ckpt_path=checkpoint)
        last = {name: f"{value:.3g}" for name, value in trainer.callback_metrics.items()}
        print(f"after {epochs} epochs:", last)
        return trainer

    whole = trained(10)
    with tempfile.TemporaryDirectory() as folder:
        trained(5).save_checkpoint(f"{folder}/half.ckpt")
        resumed = trained(10, f"{folder}/half.ckpt")
    weights = whole.model.parameters(), resumed.model.parameters()
    same = all(torch.equal(*pair) for pair in zip(*weights, strict=True))
    print(f"resumed equals unbroken, bit for bit: {same}")


if __name__ == "__main__":
    main()
