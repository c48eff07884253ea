"""The product seen working without a key or a network.

A built-in fake provider answers under the five providers' names; a small agent calls it over real
HTTPS through the real proxy, with streams, a tool loop, an error and a retry; and a coding agent
mends a bug in a throw-away folder, with a failing test, a sub-agent and an edit.
"""
