"""Data sets, from their files to the batches of images that a network is trained on.

Modules:
    contract: Contract of a data set: images, class names and text for the model card.
    datasets: One module per data set.
    idx_files: Data sets in MNIST's file format.
    idx_sources: Sources of their files: a system package, official mirrors, a Debian package.
    datamodule: LightningDataModule: splits, normalisation and batches.
    batches: Data loaders that index whole batches in memory.
    augment: Augmentation of training batches.
"""
