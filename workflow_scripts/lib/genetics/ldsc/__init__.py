"""LD score regression: LD scores of the study's own reference and annotations; ldsc.py's commands and their tables."""
