"""Commands of `prenda`: each module adds its parser and turns arguments into calls and an exit code.

`train` (Hydra's part is `train_application`), `resume`, `evaluate`, `compare`, `promote`, `models`, `data` and `ui`;
`shared` holds what several of them need.
"""
