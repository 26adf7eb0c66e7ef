"""The Hydra application behind `prenda train`.

Apart from `train`, so that help, completion and `--cfg` answer without waiting for torch.
"""

from __future__ import annotations

from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from prenda.config import CONFIG_DIR, register, trusted_targets

register()


@hydra.main(config_path=str(CONFIG_DIR), config_name="train", execution_whitelist=trusted_targets())
def main(config: DictConfig) -> float:
    """Runs one training; returns the score that a sweep optimises."""
    from prenda.train import train

    return train(config, Path(HydraConfig.get().runtime.output_dir)).score
