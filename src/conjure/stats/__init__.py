"""Correlations with human scores, their intervals, and differences between them."""
