"""Launchers of trials: `local` processes, a `ray` cluster, a `slurm` cluster, on `base`."""
