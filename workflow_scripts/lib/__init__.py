"""The science of the study: no Snakemake, no study paths, importable from anywhere."""
