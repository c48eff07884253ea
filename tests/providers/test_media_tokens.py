"""Documented rules for the tokens of images and sounds, by example."""

import pytest

from agenttrace_mitm.providers.media_tokens import audio_tokens, image_tokens


@pytest.mark.parametrize(
    ("provider", "model", "width", "height", "tokens"),
    [
        ("openai", "gpt-4o", 1024, 1024, 85 + 4 * 170),
        ("openai", "gpt-4o-2024-11-20", 512, 512, 85 + 170),
        ("openai", "gpt-4o", 4096, 8192, 85 + 6 * 170),
        ("openai", "gpt-4o-mini", 512, 512, 2833 + 5667),
        ("openai", "gpt-5", 512, 512, 70 + 140),
        ("openai", "o3", 512, 512, 75 + 150),
        ("openai", "gpt-4.1-mini", 320, 320, 162),
        ("openai", "o4-mini", 10_000, 10_000, round(1536 * 1.72)),
        ("openai", "gpt-99", 512, 512, None),
        ("anthropic", "claude-sonnet-4-5", 280, 280, 100),
        ("anthropic", "claude-sonnet-4-5", 9000, 9000, 1568),
        ("anthropic", "claude-opus-5-5", 9000, 9000, 4784),
        ("google", "gemini-2.5-flash", 300, 300, 258),
        ("google", "gemini-2.5-flash", 1536, 768, 516),
        ("google", "gemini-3-pro", 1536, 768, 1120),
        ("cohere", "command-a", 512, 512, None),
        ("openai", "gpt-4o", 0, 0, None),
    ],
)
def test_images(provider, model, width, height, tokens):
    assert image_tokens(provider, model, width, height) == tokens


def test_sounds():
    assert audio_tokens("google", 10_001) == 321
    assert audio_tokens("openai", 10_000) is None
