"""Cohere's smaller endpoints: what each of them is paid by."""

from .exchanges import told


def test_parsed_documents_are_paid_by_the_page():
    meta = {"billed_units": {"pages": 4}}
    answer = {"id": "p1", "pages": [{"markdown": "# T"}], "meta": meta}
    understood = told("cohere", "/v2/parse", answer, {"model": "parse", "document": "https://x"})
    assert (understood.dialect, understood.kind) == ("cohere.parse", "llm")
    assert understood.reply.usage.detail == {"pages": 4}


def test_classifications_are_counted():
    answer = {"id": "c1", "classifications": [{"prediction": "a"}]}
    answer["meta"] = {"billed_units": {"classifications": 2}}
    understood = told("cohere", "/v1/classify", answer, {"model": "m", "inputs": ["x", "y"]})
    assert understood.reply.usage.detail == {"classifications": 2}
    assert len(understood.ask.messages) == 2


def test_a_summary_is_an_answer():
    answer = {"id": "s1", "summary": "short", "meta": {"billed_units": {"input_tokens": 9}}}
    reply = told("cohere", "/v1/summarize", answer, {"text": "long"}).reply
    assert (reply.text, reply.usage.detail["billed_input_tokens"]) == ("short", 9)


def test_tokenizing_counts_and_costs_nothing():
    understood = told("cohere", "/v1/tokenize", {"tokens": [1, 2, 3]}, {"model": "m"})
    assert (understood.kind, understood.operation) == ("count", "count_tokens")
    assert understood.reply.usage.detail == {"counted_tokens": 3}
    assert understood.reply.usage.source == "none"


def test_batches_and_datasets_are_administration():
    assert told("cohere", "/v2/batches", {}).dialect == "cohere.batches"
    assert told("cohere", "/v1/datasets", {}, method="GET").kind == "admin"
