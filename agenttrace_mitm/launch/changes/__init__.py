"""Changes to this machine outside our home folder, each with an exact undo.

A change is a module below with one class; it says what it will do, does it, and undoes it.
`work` makes and undoes changes, and notes in the `journal` how everything was before anything
is touched, so that a crash in between can be undone as well.  Nothing here happens unless it
was asked for by name.
"""

from .change import Change, Facts
from .journal import Entry, Journal
from .machine import Machine
from .work import desktop_proxy, make, rebuild, redirect, trust_stores, undo

__all__ = [
    "Change",
    "Entry",
    "Facts",
    "Journal",
    "Machine",
    "desktop_proxy",
    "make",
    "rebuild",
    "redirect",
    "trust_stores",
    "undo",
]
