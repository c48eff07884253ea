"""AgentTrace-mitm: see what AI agents do, cost and break, on the wire, on your own machine."""

__version__ = "0.1.0"
