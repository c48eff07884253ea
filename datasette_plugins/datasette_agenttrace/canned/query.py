"""What a saved query is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CannedQuery:
    """One saved query; `name` is its address."""

    name: str
    title: str
    description: str
    sql: str
    question: str
    """What a person wants to know."""
    page: str = ""
    """The page that shows it, or the nearest to it; empty: none does."""

    def as_metadata(self) -> dict[str, str]:
        """As Datasette wants it."""
        return {"title": self.title, "description": self.description, "sql": self.sql}
