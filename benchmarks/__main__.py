"""``python -m benchmarks``: timings for people and as JSON, from a source checkout."""

from .commands import bench

bench(prog_name="python -m benchmarks")
