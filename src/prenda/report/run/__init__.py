"""Report of one run.

Modules:
    report: Tables, pictures, page and MLflow description.
"""
