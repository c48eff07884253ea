"""The providers' own Python libraries: how a request is made with each.

Parameters are those that the libraries have had for long, by their references:
https://github.com/openai/openai-python, https://github.com/anthropics/anthropic-sdk-python,
https://github.com/googleapis/python-genai, https://github.com/mistralai/client-python,
https://github.com/cohere-ai/cohere-python.
"""

import json
import re
from dataclasses import dataclass, replace

from agenttrace_mitm.model import LlmCall

from .curl import key_of

_NAME = re.compile(r"[a-z_]+")


@dataclass(frozen=True, slots=True)
class Library:
    """How a library is asked: what comes first, which function, and which arguments it takes."""

    imports: str
    client: str
    function: str
    streaming: str
    """The function that streams; one that is asked by `stream=True` is the same."""
    names: frozenset[str]
    takes_more: bool = False
    """Whether `extra_body` and `extra_headers` carry what it has no names for."""


def library_of(call: LlmCall) -> Library | None:
    """The library that asks as *call* did; OpenAI's also for others that speak as it does."""
    if found := _OPENAI.get(call.dialect):
        ending, function, names = found
        if call.provider == "azure" or not call.path.endswith(ending):
            return None
        client = "OpenAI()"
        if call.host != "api.openai.com":
            base = f"https://{call.host}{call.path.removesuffix(ending)}"
            key = f'os.environ["{key_of(call.provider)[1]}"]'
            client = f"OpenAI(base_url={json.dumps(base)}, api_key={key})"
        imports = "from openai import OpenAI"
        if "os." in client:
            imports = f"import os\n\n{imports}"
        return Library(imports, client, function, function, names, takes_more=True)
    start, library = _OTHERS.get(call.dialect, ("", None))
    if library is None or not f"{call.host}{call.path}".startswith(start):
        return None
    if call.dialect == "gemini.generate":
        version = call.path.split("/")[1]
        options = f"http_options={{{json.dumps('api_version')}: {json.dumps(version)}}}"
        return replace(library, client=f"genai.Client({options})")
    return library


def _names(text: str) -> frozenset[str]:
    return frozenset(_NAME.findall(text))


_CHAT = _names(
    """messages model audio frequency_penalty logit_bias logprobs max_completion_tokens max_tokens
    metadata modalities n parallel_tool_calls prediction presence_penalty reasoning_effort
    response_format seed service_tier stop store stream stream_options temperature tool_choice
    tools top_logprobs top_p user web_search_options"""
)
_RESPONSES = _names(
    """model input include instructions max_output_tokens metadata parallel_tool_calls
    previous_response_id reasoning service_tier store stream temperature text tool_choice tools
    top_p truncation user"""
)
_OPENAI = {
    "openai.chat": ("/chat/completions", "chat.completions.create", _CHAT),
    "openai.responses": ("/responses", "responses.create", _RESPONSES),
    "openai.completions": (
        "/completions",
        "completions.create",
        _names("model prompt max_tokens temperature top_p n stream stop logprobs echo seed user"),
    ),
    "openai.embeddings": (
        "/embeddings",
        "embeddings.create",
        _names("model input dimensions encoding_format user"),
    ),
    "openai.moderations": ("/moderations", "moderations.create", _names("model input")),
}
_OTHERS = {
    "anthropic.messages": (
        "api.anthropic.com/v1/messages",
        Library(
            "from anthropic import Anthropic",
            "Anthropic()",
            "messages.create",
            "messages.create",
            _names(
                """model messages max_tokens metadata service_tier stop_sequences stream system
                temperature thinking tool_choice tools top_k top_p"""
            ),
            takes_more=True,
        ),
    ),
    "gemini.generate": (
        "generativelanguage.googleapis.com/",
        Library(
            "from google import genai",
            "genai.Client()",
            "models.generate_content",
            "models.generate_content_stream",
            _names("model contents config"),
        ),
    ),
    "mistral.chat": (
        "api.mistral.ai/v1/chat/completions",
        Library(
            "import os\n\nfrom mistralai.client import Mistral",
            'Mistral(api_key=os.environ["MISTRAL_API_KEY"])',
            "chat.complete",
            "chat.stream",
            _names(
                """model messages temperature top_p max_tokens stop random_seed metadata
                response_format tools tool_choice presence_penalty frequency_penalty n
                prediction parallel_tool_calls prompt_mode safe_prompt"""
            ),
        ),
    ),
    "cohere.v2chat": (
        "api.cohere.com/v2/chat",
        Library(
            "import cohere",
            "cohere.ClientV2()",
            "chat",
            "chat_stream",
            _names(
                """model messages tools strict_tools documents citation_options response_format
                safety_mode max_tokens stop_sequences temperature seed frequency_penalty
                presence_penalty k p logprobs tool_choice thinking priority"""
            ),
        ),
    ),
    "cohere.rerank": (
        "api.cohere.com/v2/rerank",
        Library(
            "import cohere",
            "cohere.ClientV2()",
            "rerank",
            "rerank",
            _names("model query documents top_n max_tokens_per_doc"),
        ),
    ),
}
