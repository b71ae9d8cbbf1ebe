"""How files of LD scores are called."""

BASE, UNION, WEIGHTS, FREQUENCIES = "base", "union", "weights", "frequencies"
CELLS = "cells."  # before a cell type in names of files, so that one may be called base
