"""Bundles, models on disk: `format` reads and verifies one, `export` writes one."""
