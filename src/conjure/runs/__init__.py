"""Finished work that is kept on disk, and the runs that compute what is missing."""
