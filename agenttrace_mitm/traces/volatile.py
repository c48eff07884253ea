"""Parts of a prompt that change by themselves: dates, folders, git status, ids, tokens left.

A program that writes today's date into its system prompt has not changed its prompt.  Each such
part gives way to a word in brackets, so that what is left can be compared and shown.
"""

import re

from ..model import Json

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
_WEEKDAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_DAY = rf"(?:(?:{_WEEKDAY}|mon|tue|wed|thu|fri|sat|sun),?\s+)?"
_ORDINAL = r"\d{1,2}(?:st|nd|rd|th)?"
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?:\s?[ap]\.?m\.?\b)?(?:\s?(?:utc|gmt|z)\b)?"
_NUMBER = r"\d[\d,._]{0,15}k?"
_PLACE = (
    r"(?:primary |current |additional )*(?:working director(?:y|ies)|directory|cwd|hostname"
    r"|workspace(?: root| path)?|project root|repo(?:sitory)? root|home directory"
    r"|git branch|git user|branch|os version|time ?zone)"
)


def _block(tag: str) -> str:
    """An element of that name; an opening one without its end is left alone, at no cost."""
    return rf"(?s)(<{tag}>)(?:(?!<{tag}>).){{0,50000}}?(</{tag}>)"


_VOLATILE = tuple(
    (re.compile(pattern), instead)
    for pattern, instead in (
        # Claude Code says in its first block which release asks, with a checksum of the request.
        (r"(?m)^x-anthropic-billing-header:.*\n?", ""),
        (_block("env"), r"\1[environment]\2"),
        (_block("environment_context"), r"\1[environment]\2"),
        (_block("git_status"), r"\1[git status]\2"),
        # Claude Code's snapshot ends with the last commits: lines of a hash and a subject.
        (
            r"(?ms)^gitStatus:.*?(?:^Recent commits:\n(?:[0-9a-f]{7,40} [^\n]*\n?)*|\Z)",
            "[git status]\n",
        ),
        (rf"(?im)^([\s>*-]*{_PLACE}\s*(?:\([^)\n]*\))?(?: is)?:)[^\n]+", r"\1 [here]"),
        (r"(?i)(working in the directory:?)[^\n]+", r"\1 [here]"),
        (r"(?i)\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", "[id]"),
        (r"\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{16,64}\b", "[id]"),
        (rf"(?i)\b\d{{4}}-\d{{2}}-\d{{2}}(?:[t ]{_CLOCK}(?:[+-]\d{{2}}:?\d{{2}})?)?\b", "[date]"),
        (rf"(?i)\b{_DAY}{_MONTH}\s+{_ORDINAL},?\s+\d{{4}}\b", "[date]"),
        (rf"(?i)\b{_DAY}{_ORDINAL}\s+{_MONTH},?\s+\d{{4}}\b", "[date]"),
        (r"\b\d{1,2}[./]\d{1,2}[./]\d{4}\b", "[date]"),
        (rf"(?i)(\b(?:date|today|day)\b[^\n:]{{0,30}}:\s*){_WEEKDAY}\b", r"\1[date]"),
        (rf"(?i)\b{_CLOCK}", "[time]"),
        (r"\b1[5-9]\d{8}(?:\d{3}){0,2}(?:\.\d{1,9})?\b", "[time]"),
        (rf"(?i)\b{_NUMBER}(\s?/\s?|\s+of\s+){_NUMBER}(?=;|\s+tokens?\b)", r"[n]\1[n]"),
        (
            rf"(?i)\b{_NUMBER}%?(?=(?:\s+(?:tokens?|messages|turns|requests))?"
            r"\s+(?:left|remaining|used)\b)",
            "[n]",
        ),
        (
            r"(?i)((?:tokens?|context|budget)(?:[ _](?:left|remaining|used|budget|usage))+"
            rf"\s*[:=]\s*){_NUMBER}%?",
            r"\1[n]",
        ),
    )
)


def lasting(text: str) -> str:
    """*text* without what changes by itself."""
    for pattern, instead in _VOLATILE:
        text = pattern.sub(instead, text)
    return text.strip()


def lasting_json(value: Json, dropped: frozenset[str]) -> Json:
    """*value* with all its strings `lasting`, and without the keys in *dropped*."""
    if isinstance(value, str):
        return lasting(value)
    if isinstance(value, list):
        return [lasting_json(one, dropped) for one in value]
    if isinstance(value, dict):
        return {k: lasting_json(v, dropped) for k, v in value.items() if k not in dropped}
    return value
