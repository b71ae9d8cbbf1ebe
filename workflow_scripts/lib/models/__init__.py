"""Networks, and their weights on disk. A model knows nothing of losses, tasks or study paths."""
