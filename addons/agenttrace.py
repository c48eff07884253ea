"""Recording inside mitmdump."""
