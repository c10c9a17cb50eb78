"""Timing, run by ``python -m benchmarks`` from a source checkout; it is not installed."""
