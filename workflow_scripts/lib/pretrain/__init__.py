"""Self-supervised training: augmentations, batches, losses and the one training loop. Knows no task."""
