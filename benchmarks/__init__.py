"""Benchmarks: ratios against named peers and against the machine's own limits, in one run each."""
