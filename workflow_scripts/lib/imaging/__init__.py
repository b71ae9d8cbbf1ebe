"""Volumes: reading, grids, backends of preprocessing, registration, regions, the patch store, quality control."""
