"""Model selection among recorded runs.

Modules:
    compare: Comparison of runs, with tests of statistical significance.
    promote: Promotion of a run's model to champion.
    chance: Kinds of chance that a promotion excludes.
    listing: List of registered models and their versions.
"""
