"""Data sets, from their files to the batches of images that a network is trained on.

Modules:
    contract: Contract of a data set: images, class names and text for the model card.
    datasets: One module per data set.
    idx_files: Data sets in MNIST's file format.
    idx_sources: Sources of their files: a system package, official mirrors, a Debian package.
    datamodule: LightningDataModule: splits, normalisation and batches.
    splits: Selection, split and statistics of images in memory.
    stratified: Stratified order of labelled images.
    photo_files: Data sets of photos: files, classes and splits.
    photo_layout: Sub-folders of a folder of labelled photos.
    photo_index: Content of each photo, kept between runs.
    photo_split: Stratified split in which near-duplicates stay together.
    class_mapping: Classes that are merged, renamed or dropped.
    photo_archive: Fetching and unpacking of a published set of photos.
    photo_cache: Prepared photos in files on the disk.
    photo_storage: Choice between memory, cache and the photos' own files.
    parallel: Threads and progress of long work on photos.
    draws: Seeds of random draws.
    batches: Data loaders of whole batches, in memory or streamed.
    augment: Augmentation of training batches.
"""
