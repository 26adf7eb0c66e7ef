"""Plain Lightning, as project templates have it: one picture at a time, figures logged at every step."""

from __future__ import annotations

import tempfile

import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy
from torchvision import transforms

from loops.task import WARM_UP, Measured, Task, prepared
from loops.watch import Watch
from prenda.config.instantiate import build
from prenda.data.batches import InMemory
from prenda.data.datamodule import ImageDataModule, Split


class Pictures(Dataset[tuple[Tensor, int]]):
    """Gives pictures as torchvision.datasets.FashionMNIST does: out of an array, through Pillow and the transforms."""

    def __init__(self, split: InMemory, transform: transforms.Compose) -> None:
        self.data, self.targets, self.transform = split.images[:, 0], split.labels, transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture, target = self.data[index], int(self.targets[index])
        return self.transform(Image.fromarray(picture.numpy())), target


class TemplateClassifier(pl.LightningModule):
    def __init__(self, network: nn.Module, num_classes: int) -> None:
        super().__init__()
        self.network = network
        self.criterion = nn.CrossEntropyLoss()
        self.train_loss, self.val_loss = MeanMetric(), MeanMetric()
        self.train_accuracy, self.val_accuracy = MulticlassAccuracy(num_classes), MulticlassAccuracy(num_classes)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        logits = self.network(images)
        loss: Tensor = self.criterion(logits, labels)
        self.train_loss(loss)
        self.train_accuracy(logits.argmax(dim=1), labels)
        self.log("train/loss", self.train_loss, on_step=False, on_epoch=True, prog_bar=True)
        self.log("train/accuracy", self.train_accuracy, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images, labels = batch
        logits = self.network(images)
        self.val_loss(self.criterion(logits, labels))
        self.val_accuracy(logits.argmax(dim=1), labels)
        self.log("val/loss", self.val_loss, on_step=False, on_epoch=True, prog_bar=True)
        self.log("val/accuracy", self.val_accuracy, on_step=False, on_epoch=True, prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def measure(task: Task) -> Measured:
    """The network and the images are prenda's; everything else is Lightning's default."""
    config, data = prepared(task)
    network = build(config.backbone, "backbone", image_shape=data.image_shape, num_classes=len(data.class_names))
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            accelerator="cpu",
            precision=task.precision,
            max_epochs=WARM_UP + task.epochs,
            logger=CSVLogger(folder),
            callbacks=[ModelCheckpoint(monitor="val/accuracy", mode="max", save_last=True), watch],
        )
        classifier = TemplateClassifier(network, len(data.class_names))
        trainer.fit(classifier, _loader(data, "train", task), _loader(data, "val", task))
    return watch.measured()


def _loader(data: ImageDataModule, split: Split, task: Task) -> DataLoader[tuple[Tensor, int]]:
    pixels = data.statistics()  # from 0 to 255; ToTensor gives 0 to 1
    mean, deviation = ([value / 255 for value in pixels[name]] for name in ("mean", "std"))
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, deviation)])
    return DataLoader(
        Pictures(data.split(split), transform),
        batch_size=task.batch_size,
        shuffle=split == "train",
        num_workers=task.workers,
        persistent_workers=task.workers > 0,
    )
