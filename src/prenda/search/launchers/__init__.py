"""Launchers of trials.

Modules:
    base: Interface of launchers, and the processes of trials.
    local: Processes on this machine.
    ray: Tasks of a Ray cluster.
    slurm: Jobs of a Slurm cluster.
"""
