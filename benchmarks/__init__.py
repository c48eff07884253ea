"""Measuring tools: `scripts/bench` for speed and size, `scripts/chaos` for faults."""
