"""The participants of benchmarks/epochs.py: each module trains the same network its own way, and times its epochs."""
