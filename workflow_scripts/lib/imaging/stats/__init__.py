"""Statistics that FreeSurfer and FastSurfer write: one file, a subject's folder, exported tables, lists of features."""
