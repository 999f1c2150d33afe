"""What happens beside the steps of a training: checkpoints, signals, divergence, logs."""
