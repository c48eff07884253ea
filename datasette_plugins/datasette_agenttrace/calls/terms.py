"""What a person typed into the search: words, phrases, and how words begin."""

import re
from collections.abc import Iterable
from typing import NamedTuple


class Term(NamedTuple):
    """A word or phrase that is asked for; or, with *begins*, how its last word begins.

    *words* are all that there are of such words or phrases, where that is known.
    """

    text: str
    begins: bool = False
    words: tuple[str, ...] = ()

    def __str__(self) -> str:
        """As FTS5 has it."""
        if self.words:
            return f"({' OR '.join(f'"{word}"' for word in self.words)})"
        return f'"{self.text}"' + ("*" if self.begins else "")


def terms_of(said: str) -> list[Term]:
    """All words, "exact phrases", beginnings*."""
    terms = []
    for quoted, word in re.findall(r'"([^"]*)"|([^\s"]+)', said):
        begins = not quoted and word.endswith("*")
        text = word.rstrip("*") if begins else quoted or word
        if re.search(r"\w", text):
            terms.append(Term(text.replace('"', ""), begins))
    return terms


def query_of(terms: Iterable[Term]) -> str:
    """What FTS5 is asked for all of *terms*."""
    plain = " ".join(str(one) for one in terms if not one.words)
    # FTS5 wants brackets to be joined in words.
    return " AND ".join([*([plain] if plain else []), *(str(one) for one in terms if one.words)])
