"""The pages there are.  A new one is a folder beside this file and a line here."""

from . import costs
from .page import Page

PAGES: tuple[Page, ...] = (costs.PAGE,)
HOME = costs.PAGE
