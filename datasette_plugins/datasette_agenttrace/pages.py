"""The pages there are.  A new one is a folder beside this file and a line here."""

from . import calls, costs
from .page import Page

PAGES: tuple[Page, ...] = (costs.PAGE, calls.PAGE)
HOME = costs.PAGE
