"""HTTP service: photos in, answers out, for programs and for a page. Needs neither torch, Lightning, Hydra nor MLflow.

Modules:
    options: Settings of a server.
    app: The application: its routes.
    model: A model that answers photos in both languages.
    run: Processes, port and signals.
"""
