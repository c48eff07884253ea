"""What headers mean: clients, attempts, ids, limits, sessions."""

import pytest

from agenttrace_mitm.model import Headers, Links
from agenttrace_mitm.providers import attempt_of, client_of, rate_limits, request_ids
from agenttrace_mitm.providers.headers import links_of


def headers(**fields):
    return Headers(tuple((name.replace("_", "-"), value) for name, value in fields.items()))


@pytest.mark.parametrize(
    ("user_agent", "client"),
    [
        ("OpenAI/Python 3.52.0", "openai-python"),
        ("AsyncOpenAI/Python 2.54.0", "openai-python"),
        ("AzureOpenAI/Python 1.0", "openai-python"),
        ("OpenAI/JS 7.55.0", "openai-node"),
        ("Anthropic/Python 2.11.0", "anthropic-python"),
        ("AsyncAnthropic/Python 2.11.0", "anthropic-python"),
        ("Anthropic/JS 1.11.0", "anthropic-node"),
        ("claude-cli/2.1.329 (external, cli)", "claude-code"),
        ("codex_exec/0.169.0 (Debian 12.0.0; x86_64) xterm (codex_exec; 0.169.0)", "codex"),
        ("GeminiCLI-tui/0.61.0/gemini-x (linux; x64; terminal)", "gemini-cli"),
        ("google-genai-sdk/3.4.0 gl-python/3.13.0", "google-genai"),
        ("google-genai-sdk/3 gl-python/3 langchain-google-genai/4.4.2-Chat", "langchain"),
        ("langchain-anthropic/1.7.7", "langchain"),
        ("mistral-client-python/3.7.0", "mistral-python"),
        ("cohere/7.3.1", "cohere-python"),
        ("cohere-ai/8.1.0", "cohere-node"),
        ("opencode/1.18.33 ai-sdk/provider-utils/4.0.46 runtime/bun/1.3.14", "opencode"),
        ("ai/7.0.173 ai-sdk-provider-utils/5.0.81 node.js/v20", "vercel-ai"),
        ("litellm/1.106.2", "litellm"),
        ("pydantic-ai/2.31.1", "pydantic-ai"),
        ("Agents/Python 0.20.0", "openai-agents"),
        ("curl/8.5.0", "curl"),
        ("python-httpx/0.28.1", "httpx"),
        ("node", "node"),
        ("MyAgent/1.0 (secret build)", "myagent"),
        ("", ""),
    ],
)
def test_clients_are_recognised_by_their_user_agent(user_agent, client):
    assert client_of(user_agent, Headers()) == client


def test_product_headers_win_over_the_user_agent():
    assert client_of("Bun/1.4.4", headers(x_claude_code_session_id="s")) == "claude-code"
    assert client_of("x", headers(originator="codex_vscode")) == "codex"
    assert client_of("cohere/7", headers(x_client_name="langchain:partner")) == "langchain"


@pytest.mark.parametrize(
    ("count", "attempt"), [("", 1), ("0", 1), ("2", 3), ("-1", 1), ("x", 1), ("9" * 40, 1001)]
)
def test_retries_are_counted_by_the_sdk(count, attempt):
    assert attempt_of(headers(x_stainless_retry_count=count)) == attempt


def test_request_ids():
    asked = headers(x_client_request_id="mine")
    assert request_ids(asked, headers(x_request_id="req_1")) == ("req_1", "mine")
    assert request_ids(Headers(), headers(request_id="req_2")) == ("req_2", "")
    assert request_ids(Headers(), Headers()) == ("", "")


class TestRateLimits:
    def test_nothing_said_is_nothing_told(self):
        assert rate_limits(headers(content_type="x")) is None

    def test_openai_resets_are_durations(self):
        assert rate_limits(
            headers(
                x_ratelimit_limit_requests="500",
                x_ratelimit_remaining_requests="499",
                x_ratelimit_reset_requests="120ms",
                x_ratelimit_reset_tokens="1m3.5s",
                retry_after_ms="250",
            )
        ) == {
            "requests": {"limit": 500, "remaining": 499, "reset_s": 0.12},
            "tokens": {"reset_s": 63.5},
            "retry_after_s": 0.25,
        }

    def test_anthropic_resets_are_moments(self):
        assert rate_limits(
            headers(
                anthropic_ratelimit_input_tokens_limit="50000",
                anthropic_ratelimit_requests_reset="2026-11-20T21:00:00Z",
                anthropic_ratelimit_unified_5h_utilization="0.37",
                anthropic_ratelimit_unified_7d_oi_reset="1795000000",
                anthropic_ratelimit_unified_status="allowed",
                anthropic_ratelimit_unified_representative_claim="five_hour",
                retry_after="7",
            )
        ) == {
            "input_tokens": {"limit": 50000},
            "requests": {"reset_at": 1795208400.0},
            "unified": {
                "5h": {"utilization": 0.37},
                "7d_oi": {"reset_at": 1795000000},
                "status": "allowed",
                "representative_claim": "five_hour",
            },
            "retry_after_s": 7,
        }

    def test_mistral_codex_and_trial_keys(self):
        assert rate_limits(
            headers(
                x_ratelimit_limit_req_minute="60",
                x_ratelimit_remaining_tokens_minute="9000",
                x_ratelimit_tokens_query_cost="128",
                x_codex_primary_used_percent="12.5",
                x_trial_endpoint_call_remaining="4",
            )
        ) == {
            "requests": {"limit": 60},
            "tokens": {"remaining": 9000},
            "query_cost_tokens": 128,
            "codex": {"primary": {"used_percent": 12.5}},
            "trial_calls": {"remaining": 4},
        }

    def test_nonsense_is_kept_as_it_came_or_left_out(self):
        assert rate_limits(
            headers(x_ratelimit_reset_requests="soon", retry_after="Fri, 20 Nov 2026", x="nan")
        ) == {"requests": {"reset": "soon"}}


class TestLinks:
    def test_codex_sub_agents_name_their_parent_thread(self):
        links = links_of(
            headers(session_id="s", thread_id="t2", x_codex_parent_thread_id="t1"), Links()
        )
        assert (links.session_id, links.conversation_id) == ("s", "t2")
        assert (links.agent_id, links.parent_agent_id) == ("t2", "t1")

    def test_codex_turns_may_be_told_in_one_header(self):
        turn = '{"session_id": "s", "thread_id": "t", "request_kind": "turn"}'
        links = links_of(headers(x_codex_turn_metadata=turn), Links())
        assert (links.session_id, links.conversation_id, links.agent_id) == ("s", "t", "")

    def test_opencode_opens_a_session_for_each_sub_agent(self):
        links = links_of(headers(x_session_id="ses_2", x_parent_session_id="ses_1"), Links())
        assert (links.session_id, links.agent_id) == ("ses_1", "ses_2")

    def test_no_header_changes_nothing(self):
        links = Links(session_id="from the body")
        assert links_of(headers(accept="x"), links) is links
