"""2D images: datasets from what users have, groups and splits, and grids of transferred networks on them."""
