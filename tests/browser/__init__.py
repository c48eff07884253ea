"""The pages in a real browser: the system's chromium, skipped by name where there is none."""
