"""Configuration: its typed schema, validation, instantiation of targets, and the identity of runs."""
