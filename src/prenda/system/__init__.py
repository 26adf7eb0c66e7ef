"""The operating system: atomic writes, signals, start-up and memory."""
