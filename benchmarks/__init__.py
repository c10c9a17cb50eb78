"""Timing: ours against a plain loop, the network alone, many pairs, and a cold start."""
