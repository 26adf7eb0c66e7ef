"""HTTP service: photos in, answers out, for programs and for a page. Needs neither torch, Lightning, Hydra nor MLflow.

Modules:
    run: Processes, port and signals.
    connections: Connections, bounded in number and in the time of a request's head.
    app: The application: its parts and its routes.
    gate: Gate before all routes: hosts, origins, token, security headers, metrics and the access log.
    uploads: Photos of a request, received in bounded memory and time.
    work: Decoding and network in threads, with a short queue.
    model: A model that answers photos, in both languages.
    champion: Where the model comes from.
    following: Exchange of the model when there is a new champion.
    corrections: Photos with the type that a person gave them.
    refusals: Refusals of requests, with their texts.
    metrics: Metrics for Prometheus.
    access_log: Access log in JSON lines.
    schemas, openapi, docs: OpenAPI document and its page.
    options: Settings of a server.
"""
