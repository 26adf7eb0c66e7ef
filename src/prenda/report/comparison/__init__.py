"""Report of a comparison of runs.

Modules:
    results: Results as sentences and tables.
    page: Page with pictures, JSON and MLflow description.
"""
