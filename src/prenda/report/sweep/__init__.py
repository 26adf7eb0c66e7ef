"""Report of a sweep.

Modules:
    report: Tables, pictures, page and MLflow description.
    figures: History, parameter importance, curves and Pareto front.
    parallel: Parallel coordinates.
    trials: Trials in the form that the report needs, and scales of axes.
"""
