"""Names of the 18 patches; apart from their boxes, since rules need the names at parse time and nothing else."""

REGIONS = (
    "medial_temporal",
    "lateral_temporal",
    "parietal",
    "occipital",
    "subcortical",
    "cingulate",
    "medial_frontal",
    "anterior_frontal",
    "posterior_frontal",
)
PATCHES = [f"{region}_{side}" for region in REGIONS for side in "LR"]
