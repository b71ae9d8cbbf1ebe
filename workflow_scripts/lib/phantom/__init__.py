"""The embedded study: anatomy, ageing, disease, scanners and genotypes with planted truth.

Nothing of the analysis imports this package; only the scripts of stage ``phantom`` and tests do.
"""
