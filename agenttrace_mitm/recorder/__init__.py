"""The recorder process: frames in from capture, records out to the store."""
