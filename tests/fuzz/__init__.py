"""What strangers may send: mutated wire for every dialect, in Hypothesis and in `scripts/fuzz`."""
