"""One module a figure: a tidy table in, a matplotlib figure out. No statistic is computed here."""
