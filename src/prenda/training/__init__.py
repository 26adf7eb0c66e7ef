"""Training: from a configuration to a trained, scored and recorded model."""
