"""AgentTrace's pages inside Datasette."""
