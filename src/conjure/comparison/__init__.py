"""Processes compared: how they rank the same pairs, and what an edit of a model has moved."""
