"""Finished work that is kept on disk, and who computes what is missing."""
