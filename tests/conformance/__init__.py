"""The recorded corpus through the running proxy, compared with its independent truth."""
