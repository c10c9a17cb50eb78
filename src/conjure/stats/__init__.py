"""Correlations, their intervals, and differences between them."""
