"""Starting things: the processes behind `start`, and the programs behind `run -- CMD`.

`supervisor` keeps recorder, capture and web alive; `control` is how other commands talk to it;
`environment` and `runtimes/` make a program use the proxy and trust it; `program` runs it.
"""
