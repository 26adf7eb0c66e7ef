"""What runs leave behind in MLflow, and what is read back. The only package that imports mlflow, and only where needed.

`store` reaches a store or server, `runs` records a run, `lookup` finds recorded ones, `registry` keeps their models.
"""
