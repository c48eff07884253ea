"""How many tokens an image or a sound takes, where its provider documents a rule.

Estimates for people: what was billed is in the usage.  Rules as documented in 2026-09; models
without a rule give None.
"""

import re

_OPENAI_TILES = (
    # model, base, per tile
    (re.compile(r"gpt-4o-mini"), 2833, 5667),
    (re.compile(r"gpt-4o|gpt-4\.1(?!-(mini|nano))|gpt-4\.5|chatgpt-4o"), 85, 170),
    (re.compile(r"gpt-5(-chat.*|-\d{4}.*)?$"), 70, 140),
    (re.compile(r"o1|o3"), 75, 150),
)
_OPENAI_PATCHES = (
    (re.compile(r"gpt-4\.1-mini|gpt-5(\.\d)?-mini"), 1536, 1.62),
    (re.compile(r"gpt-4\.1-nano|gpt-5(\.\d)?-nano"), 1536, 2.46),
    (re.compile(r"o4-mini"), 1536, 1.72),
)
_CLAUDE_LARGE = re.compile(r"claude-\w+-(4-[7-9]|[5-9])")
_GEMINI_OLD = re.compile(r"gemini-[12]\.")


def image_tokens(provider: str, model: str, width: int, height: int) -> int | None:
    """Tokens of an image at the provider's default detail."""
    if not width or not height:
        return None
    match provider:
        case "openai":
            return _openai(model, width, height)
        case "anthropic":
            large = _CLAUDE_LARGE.match(model)
            return _claude(width, height, *((2576, 4784) if large else (1568, 1568)))
        case "google":
            if not _GEMINI_OLD.match(model):
                return 1120
            small = width <= 384 and height <= 384
            return 258 if small else 258 * _tiles(width, height, 768)
    return None


def audio_tokens(provider: str, duration_ms: int) -> int | None:
    """Tokens of a sound."""
    return -(-duration_ms * 32 // 1000) if provider == "google" else None


def _openai(model: str, width: int, height: int) -> int | None:
    for named, most, factor in _OPENAI_PATCHES:
        if named.match(model):
            return round(min(_tiles(width, height, 32), most) * factor)
    for tiled, base, each in _OPENAI_TILES:
        if tiled.match(model):
            scale = min(1.0, 2048 / max(width, height))
            scale *= min(1.0, 768 / (min(width, height) * scale))
            return base + each * _tiles(round(width * scale), round(height * scale), 512)
    return None


def _claude(width: int, height: int, edge: int, most: int) -> int:
    scale = min(1.0, edge / max(width, height))
    return min(_tiles(round(width * scale), round(height * scale), 28), most)


def _tiles(width: int, height: int, size: int) -> int:
    return -(-width // size) * -(-height // size)
