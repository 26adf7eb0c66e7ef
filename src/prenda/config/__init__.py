"""Typed configuration: schema, validation, fingerprints of runs, and instantiation of targets.

Modules:
    schema: Typed schema, with the range of each setting.
    defaults: Default configuration, and the settings of a run that differ from it.
    validation: Checks of settings against their ranges and against each other.
    convert: Conversion between Hydra's, typed and plain configurations.
    recorded: Configurations from a run's folder or a checkpoint.
    identity: Fingerprint, name, parameters and tags of a run.
    instantiate: Instantiation of `_target_` groups, from trusted targets only.
    hydra_errors: Error messages for what Hydra and OmegaConf refuse.
    hydra_options: Check of the options of `prenda train`.
    paths: Folders of the package, its configuration, data and results.
"""
