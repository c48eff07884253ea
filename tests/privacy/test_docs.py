"""docs/privacy.md says what the code does."""

from pathlib import Path

from cogapp import Cog

from agenttrace_mitm.privacy import KEEPS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "privacy.md"


def test_the_page_is_up_to_date():
    """`cog -r docs/privacy.md` would change nothing."""
    assert Cog().main(["cog", "--check", str(PAGE)]) == 0


def test_every_field_is_on_the_page():
    text = PAGE.read_text()
    assert all(f"`{name}`" in text for tiers in KEEPS.values() for name in tiers)
