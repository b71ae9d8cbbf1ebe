"""Participants, roles, tasks, participant-disjoint splits and the guard against leakage. Reads no image."""
