"""The worked examples of docs/numbers.md come out as that page says."""

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.dialects import exchange
from tests.support.recording import Recording

PAGE = (Path(__file__).parent.parent / "docs" / "numbers.md").read_text()
PROVIDERS = ("OpenAI", "Anthropic", "Gemini", "Mistral", "Cohere")


def section(name):
    return re.split(r"^## ", PAGE, flags=re.MULTILINE)[1 + PROVIDERS.index(name)]


def row_of(text):
    """The database row that the example of a section becomes."""
    told = json.loads(re.search(r"```json\n(.*?)```", text, re.DOTALL)[1])
    reply, request = json.dumps(told["response"]).encode(), json.dumps(told["request"]).encode()
    recording = Recording()
    recording.take(exchange(told["provider"], told["target"], [reply], request))
    return recording.row()


def table(text, first):
    """The rows of the table whose first heading is *first*, behind the example."""
    behind = text.partition("```json")[2]
    lines = behind.partition(f"| {first} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]


def number(text):
    return Decimal(text.replace(",", ""))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_columns_are_as_documented(provider):
    """Each value is the sum that the page says, and stands in the row."""
    text = section(provider)
    assert text.startswith(provider)
    row, columns = row_of(text), table(text, "column")
    assert {"tokens_in", "tokens_out"} <= {name for name, *_ in columns}
    for name, value, made_of in columns:
        assert sum(map(number, made_of.split("+"))) == number(value) == row[name], name
    unmentioned = {"tokens_total", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"}
    for name in unmentioned - {name for name, *_ in columns}:
        assert row[name] is None, name


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_cost_is_as_documented(provider):
    """Units times price is each part, the parts are the cost, and the row says the same."""
    text = section(provider)
    row = row_of(text)
    *parts, (total, _, _, cost) = table(text, "part")
    detail = json.loads(row["cost_detail"])
    for name, units, price, usd in parts:
        rate, _, per = price.partition(" per ")
        assert number(units) * number(rate) / number(per) == number(usd), name
        assert detail.pop(name) == number(usd) * 10**9, name
    assert detail == {}
    assert total == "cost_usd"
    assert sum(number(usd) for *_, usd in parts) == number(cost)
    assert row["cost_nano_usd"] == number(cost) * 10**9
