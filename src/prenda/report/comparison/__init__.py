"""Report of a comparison of runs.

Modules:
    results: Results as sentences and tables.
    significance: Tests of significance as sentences and tables.
    show: Comparison in the terminal.
    page: Page with pictures, JSON and MLflow description.
"""
