"""Matrices: the distance of any two of many texts, and what the matrix shows."""
