"""Backends of preprocessing: each turns a T1w scan into a brain, regional features and a few numbers."""
