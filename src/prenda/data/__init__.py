"""Data sets, from their files to the batches that the network sees.

`contract` says what a data set is, `datasets` holds one module for each, `idx_files` reads and `idx_sources` fetches
MNIST's file format, `datamodule` splits and normalises, `batches` and `augment` serve training and scoring.
"""
