"""What the wire of each dialect is known to say: data.

Learned from the types of the official SDKs and from recorded traffic, 2026-11.  Only model calls
are judged: listings and stored objects carry no numbers of ours.  A dialect that folds a socket's
events names the fields of its own fold, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Names of a dialect: of stream events, of fields of the response, of its usage object."""

    events: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()
    usage: frozenset[str] = frozenset()
    usage_field: str = "usage"


def _known(
    events: str = "", fields: str = "", usage: str = "", usage_field: str = "usage"
) -> Vocabulary:
    return Vocabulary(
        frozenset(events.split()), frozenset(fields.split()), frozenset(usage.split()), usage_field
    )


_CHAT_FIELDS = """
    choices created id model object service_tier system_fingerprint usage metadata request_id
    moderation provider citations search_results prompt_filter_results x_groq usage_breakdown
    timings time_info p error
    cost venice_parameters kv_transfer_params prompt_logprobs prompt_token_ids copilot_usage
    prompt latency_checkpoint sla_metrics
    base_resp input_sensitive input_sensitive_type output_sensitive output_sensitive_type
"""
_CHAT_USAGE = """
    prompt_tokens completion_tokens total_tokens
    prompt_tokens_details prompt_tokens_details.audio_tokens prompt_tokens_details.cached_tokens
    prompt_tokens_details.cache_write_tokens prompt_tokens_details.image_tokens
    prompt_tokens_details.text_tokens prompt_tokens_details.video_tokens
    completion_tokens_details completion_tokens_details.accepted_prediction_tokens
    completion_tokens_details.audio_tokens completion_tokens_details.image_tokens
    completion_tokens_details.reasoning_tokens completion_tokens_details.text_tokens
    completion_tokens_details.rejected_prediction_tokens
    cost cost_details cost_details.upstream_inference_completions_cost
    cost_details.upstream_inference_cost cost_details.upstream_inference_prompt_cost is_byok
    server_tool_use_details server_tool_use_details.tool_calls_requested
    server_tool_use_details.tool_calls_executed server_tool_use_details.web_search_requests
    prompt_cache_hit_tokens prompt_cache_miss_tokens num_sources_used cost_in_usd_ticks
    estimated_cost num_server_side_tools_used server_side_tool_usage_details
    server_side_tool_usage_details.web_search_calls server_side_tool_usage_details.x_search_calls
    server_side_tool_usage_details.code_interpreter_calls
    server_side_tool_usage_details.file_search_calls server_side_tool_usage_details.mcp_calls
    server_side_tool_usage_details.document_search_calls
    server_side_tool_usage_details.image_generation_calls
    citation_tokens num_search_queries
    queue_time prompt_time completion_time total_time
    num_cached_tokens service_tier prompt_audio_seconds prompt_token_details
    prompt_token_details.cached_tokens prompt_token_details.audio_tokens request_count
    reasoning_tokens cached_tokens audio_prompt_tokens search_context_size
    cache_read_input_tokens cache_creation_input_tokens cache_creation
    cache_creation.ephemeral_5m_input_tokens cache_creation.ephemeral_1h_input_tokens
    cache_creation.ephemeral_24h_input_tokens
    cost.currency cost.input_cost cost.total_cost cost.input_tokens_cost cost.output_tokens_cost
    cost.request_cost
    latency_checkpoint latency_checkpoint.engine_tbt_ms latency_checkpoint.engine_ttft_ms
    latency_checkpoint.engine_ttlt_ms latency_checkpoint.pre_inference_ms
    latency_checkpoint.service_tbt_ms latency_checkpoint.service_ttft_ms
    latency_checkpoint.service_ttlt_ms latency_checkpoint.total_duration_ms
    latency_checkpoint.user_visible_ttft_ms
"""
_CHAT = _known("", _CHAT_FIELDS, _CHAT_USAGE)
_COHERE_USAGE = """
    api_version api_version.version api_version.is_deprecated api_version.is_experimental warnings
    billed_units billed_units.input_tokens billed_units.output_tokens billed_units.search_units
    billed_units.classifications billed_units.images billed_units.image_tokens
    billed_units.text_tokens billed_units.pages
    tokens tokens.input_tokens tokens.output_tokens tokens.reasoning_tokens tokens.image_tokens
    cached_tokens
"""

_MEDIA_USAGE = """
    type seconds input_tokens output_tokens total_tokens
    input_tokens_details input_tokens_details.image_tokens input_tokens_details.text_tokens
    input_tokens_details.cached_tokens input_tokens_details.cached_tokens_details
    output_tokens_details output_tokens_details.image_tokens output_tokens_details.text_tokens
    output_tokens_details.reasoning_tokens
    input_token_details input_token_details.audio_tokens input_token_details.text_tokens
    input_token_details.image_tokens input_token_details.cached_tokens
    input_token_details.cached_tokens_details
    output_token_details output_token_details.audio_tokens output_token_details.text_tokens
    output_token_details.reasoning_tokens
    cost cost_in_usd_ticks
"""
_GEMINI_USAGE = """
    promptTokenCount candidatesTokenCount responseTokenCount totalTokenCount
    cachedContentTokenCount thoughtsTokenCount toolUsePromptTokenCount
    promptTokensDetails promptTokenDetails candidatesTokensDetails responseTokensDetails
    cacheTokensDetails toolUsePromptTokensDetails trafficType serviceTier
"""
_BEDROCK_USAGE = """
    inputTokens outputTokens totalTokens cacheReadInputTokens cacheReadInputTokenCount
    cacheWriteInputTokens cacheWriteInputTokenCount cacheDetails serverToolUsage
"""
_OLLAMA_FIELDS = """
    model created_at done done_reason total_duration load_duration prompt_eval_count
    prompt_eval_duration eval_count eval_duration remote_model remote_host logprobs
"""

VOCABULARIES: Mapping[str, Vocabulary] = {
    "openai.chat": _CHAT,
    "mistral.chat": _CHAT,
    "mistral.fim": _CHAT,
    "mistral.agents": _CHAT,
    "openai.completions": _CHAT,
    "openai.responses": _known(
        """
        response.created response.in_progress response.queued response.completed
        response.incomplete response.failed response.cancelled
        response.output_item.added response.output_item.done
        response.content_part.added response.content_part.done
        response.output_text.delta response.output_text.done
        response.output_text.annotation.added
        response.refusal.delta response.refusal.done
        response.reasoning_part.added response.reasoning_part.done
        response.reasoning_text.delta response.reasoning_text.done
        response.reasoning_summary_part.added response.reasoning_summary_part.done
        response.reasoning_summary_text.delta response.reasoning_summary_text.done
        response.function_call_arguments.delta response.function_call_arguments.done
        response.custom_tool_call_input.delta response.custom_tool_call_input.done
        response.file_search_call.in_progress response.file_search_call.searching
        response.file_search_call.completed
        response.web_search_call.in_progress response.web_search_call.searching
        response.web_search_call.completed
        response.code_interpreter_call.in_progress response.code_interpreter_call.interpreting
        response.code_interpreter_call.completed
        response.code_interpreter_call_code.delta response.code_interpreter_call_code.done
        response.image_generation_call.in_progress response.image_generation_call.generating
        response.image_generation_call.partial_image response.image_generation_call.completed
        response.mcp_list_tools.in_progress response.mcp_list_tools.completed
        response.mcp_list_tools.failed
        response.mcp_call.in_progress response.mcp_call.completed response.mcp_call.failed
        response.mcp_call_arguments.delta response.mcp_call_arguments.done
        response.audio.delta response.audio.done
        response.audio.transcript.delta response.audio.transcript.done
        """,
        """
        background billing completed_at conversation created_at error frequency_penalty id
        incomplete_details input instructions max_output_tokens max_tool_calls metadata model
        moderation object output output_text parallel_tool_calls presence_penalty
        previous_response_id prompt prompt_cache_key prompt_cache_options prompt_cache_retention
        reasoning safety_identifier service_tier status store temperature text tool_choice
        tool_usage tools top_logprobs top_p truncation usage user input_tokens content_filters
        copilot_usage
        """,
        """
        input_tokens output_tokens total_tokens
        input_tokens_details input_tokens_details.cached_tokens
        input_tokens_details.cache_write_tokens input_tokens_details.cache_write_tokens_details
        output_tokens_details output_tokens_details.reasoning_tokens
        cost cost_details cost_details.upstream_inference_cost
        cost_details.upstream_inference_input_cost cost_details.upstream_inference_output_cost
        is_byok cost_in_usd_ticks num_sources_used num_server_side_tools_used
        server_side_tool_usage_details
        server_side_tool_usage_details.web_search_calls
        server_side_tool_usage_details.x_search_calls
        server_side_tool_usage_details.code_interpreter_calls
        server_side_tool_usage_details.file_search_calls
        server_side_tool_usage_details.mcp_calls
        server_side_tool_usage_details.document_search_calls
        server_side_tool_usage_details.image_generation_calls
        context_details context_details.input_tokens
        context_details.output_tokens
        """,
    ),
    "anthropic.messages": _known(
        """
        message_start message_delta message_stop
        content_block_start content_block_delta content_block_stop
        """,
        """
        id type role model content stop_reason stop_sequence stop_details usage container
        context_management input_tokens diagnostics
        """,
        """
        input_tokens output_tokens cache_creation_input_tokens cache_read_input_tokens
        cache_creation cache_creation.ephemeral_5m_input_tokens
        cache_creation.ephemeral_1h_input_tokens
        output_tokens_details output_tokens_details.thinking_tokens
        server_tool_use server_tool_use.web_search_requests server_tool_use.web_fetch_requests
        server_tool_use.code_execution_requests
        service_tier speed inference_geo iterations fallback_credit fallback_credit.status
        """,
    ),
    "anthropic.complete": _known(
        "completion", "id type model completion stop stop_reason truncated log_id exception"
    ),
    "gemini.generate": _known(
        "",
        """
        candidates promptFeedback usageMetadata modelVersion responseId createTime modelStatus
        automaticFunctionCallingHistory parsed sdkHttpResponse
        totalTokens totalBillableCharacters promptTokensDetails cachedContentTokenCount
        cacheTokensDetails
        """,
        """
        promptTokenCount candidatesTokenCount responseTokenCount totalTokenCount
        cachedContentTokenCount thoughtsTokenCount toolUsePromptTokenCount
        promptTokensDetails candidatesTokensDetails responseTokensDetails cacheTokensDetails
        toolUsePromptTokensDetails trafficType serviceTier totalTokens totalBillableCharacters
        """,
        "usageMetadata",
    ),
    "cohere.v2chat": _known(
        """
        message-start message-end content-start content-delta content-end tool-plan-delta
        tool-call-start tool-call-delta tool-call-end citation-start citation-end debug
        """,
        "id finish_reason message prompt usage logprobs",
        _COHERE_USAGE,
    ),
    "cohere.v1chat": _known(
        """
        stream-start stream-end text-generation search-queries-generation search-results
        citation-generation tool-calls-chunk tool-calls-generation debug
        """,
        """
        response_id generation_id text chat_history finish_reason meta citations documents
        is_search_required search_queries search_results tool_calls prompt conversation_id
        """,
        _COHERE_USAGE,
        "meta",
    ),
    "cohere.generate": _known(
        "", "id prompt generations meta text finish_reason", _COHERE_USAGE, "meta"
    ),
    "cohere.embed": _known(
        "", "id embeddings texts images meta response_type", _COHERE_USAGE, "meta"
    ),
    "cohere.rerank": _known("", "id results meta", _COHERE_USAGE, "meta"),
    "cohere.classify": _known("", "id classifications meta", _COHERE_USAGE, "meta"),
    "cohere.summarize": _known("", "id summary meta", _COHERE_USAGE, "meta"),
    "cohere.tokenize": _known("", "tokens token_strings text meta", _COHERE_USAGE, "meta"),
    "cohere.parse": _known("", "id pages documents model meta", _COHERE_USAGE, "meta"),
    "cohere.audio": _known("", "id text language duration meta", _COHERE_USAGE, "meta"),
    "openai.embeddings": _known("", "data id model object usage provider", _CHAT_USAGE),
    "mistral.embeddings": _known("", "data id model object usage", _CHAT_USAGE),
    "openai.moderations": _known("", "id model results"),
    "mistral.moderations": _known("", "id model results usage", _CHAT_USAGE),
    "openai.images": _known(
        """
        image_generation.partial_image image_generation.completed
        image_edit.partial_image image_edit.completed
        """,
        """
        type background created created_at data output_format quality safety_identifier size
        svg_usage usage b64_json partial_image_index sequence_number model
        """,
        _MEDIA_USAGE,
    ),
    "openai.audio": _known(
        """
        transcript.text.delta transcript.text.segment transcript.text.done
        speech.audio.delta speech.audio.done
        """,
        """
        type text task language languages duration segments words logprobs usage id model
        sequence_number
        """,
        _MEDIA_USAGE,
    ),
    "openai.videos": _known(
        "",
        """
        id object model status progress created_at completed_at expires_at seconds size prompt
        quality error remixed_from_video_id data first_id last_id has_more deleted
        """,
    ),
    "openai.decisions": _known(
        "",
        """
        id object model created created_at status output decisions usage metadata service_tier
        """,
        _MEDIA_USAGE,
    ),
    "openai.assistants": _known(
        """
        done thread.created thread.run.created thread.run.queued thread.run.in_progress
        thread.run.requires_action thread.run.completed thread.run.incomplete thread.run.failed
        thread.run.cancelling thread.run.cancelled thread.run.expired thread.run.step.created
        thread.run.step.in_progress thread.run.step.delta thread.run.step.completed
        thread.run.step.failed thread.run.step.cancelled thread.run.step.expired
        thread.message.created thread.message.in_progress thread.message.delta
        thread.message.completed thread.message.incomplete tool_calls message_creation
        """,
        """
        id object created_at name description model instructions tools top_p temperature
        tool_resources metadata response_format assistant_id thread_id run_id role content
        attachments status started_at expires_at cancelled_at failed_at completed_at expired_at
        incomplete_at required_action last_error max_completion_tokens max_prompt_tokens
        truncation_strategy incomplete_details usage tool_choice parallel_tool_calls data first_id
        last_id has_more reasoning_effort messages file_ids type step_details deleted
        """,
        _CHAT_USAGE,
    ),
    "openai.realtime": _known(
        """
        response.created response.done response.output_item.added response.output_item.done
        response.content_part.added response.content_part.done
        response.output_text.delta response.output_text.done response.text.delta response.text.done
        response.output_audio.delta response.output_audio.done
        response.audio.delta response.audio.done
        response.output_audio_transcript.delta response.output_audio_transcript.done
        response.audio_transcript.delta response.audio_transcript.done
        response.function_call_arguments.delta response.function_call_arguments.done
        response.mcp_call.in_progress response.mcp_call.completed response.mcp_call.failed
        response.mcp_call_arguments.delta response.mcp_call_arguments.done
        conversation.created conversation.item.added conversation.item.created
        conversation.item.deleted conversation.item.done conversation.item.retrieved
        conversation.item.truncated conversation.item.input_audio_transcription.completed
        conversation.item.input_audio_transcription.delta
        conversation.item.input_audio_transcription.failed
        conversation.item.input_audio_transcription.segment
        input_audio_buffer.cleared input_audio_buffer.committed
        input_audio_buffer.dtmf_event_received input_audio_buffer.speech_started
        input_audio_buffer.speech_stopped input_audio_buffer.timeout_triggered
        output_audio_buffer.cleared output_audio_buffer.started output_audio_buffer.stopped
        mcp_list_tools.in_progress mcp_list_tools.completed mcp_list_tools.failed
        rate_limits.updated session.created session.updated
        """,
        """
        id object status status_details output output_modalities modalities conversation_id
        max_output_tokens audio voice output_audio_format temperature usage metadata heard
        """,
        _MEDIA_USAGE,
    ),
    "gemini.embeddings": _known(
        "",
        "embedding embeddings usageMetadata metadata truncated tokenCount",
        _GEMINI_USAGE,
        "usageMetadata",
    ),
    "gemini.interactions": _known(
        """
        interaction.created interaction.status_update interaction.completed done
        step.start step.delta step.stop
        """,
        """
        id object status agent agent_config cached_content continuation_ids continuation_token
        created environment environment_id errors generation_config input labels model
        output_audio output_image output_text output_video previous_interaction_id
        response_format response_mime_type response_modalities safety_settings service_tier steps
        system_instruction tools updated usage webhook_config
        """,
        """
        cached_tokens_by_modality grounding_tool_count initial_input_tokens
        input_tokens_by_modality output_tokens_by_modality tool_use_tokens_by_modality
        total_cached_tokens total_input_tokens total_output_tokens total_thought_tokens
        total_tokens total_tool_use_tokens raw_prompt_token
        """,
    ),
    "gemini.live": _known(
        "", "usageMetadata parts transcript complete", _GEMINI_USAGE, "usageMetadata"
    ),
    "gemini.palm": _known(
        "",
        """
        candidates filters safetyFeedback messages answer answerableProbability inputFeedback
        tokenCount
        """,
    ),
    "gemini.predict": _known(
        "",
        """
        predictions metadata deployedModelId model modelDisplayName modelVersionId name done
        response
        """,
    ),
    "mistral.conversations": _known(
        """
        conversation.response.started conversation.response.done conversation.response.error
        message.output.delta function.call.delta
        tool.execution.started tool.execution.delta tool.execution.done
        agent.handoff.started agent.handoff.done
        """,
        "conversation_id object outputs usage guardrails created_at complete",
        """
        prompt_tokens completion_tokens total_tokens connector_tokens connectors
        connectors.web_search connectors.web_search_premium connectors.code_interpreter
        connectors.image_generation connectors.document_library
        """,
    ),
    "mistral.ocr": _known(
        "",
        "pages model document_annotation usage_info",
        "pages_processed doc_size_bytes",
        "usage_info",
    ),
    "mistral.audio": _known(
        """
        transcription.language transcription.text.delta transcription.segment transcription.done
        speech.audio.delta speech.audio.done
        """,
        "type audio_data model text language segments usage finish_reason",
        _CHAT_USAGE,
    ),
    "mistral.realtime": _known(
        "transcription.language transcription.text.delta transcription.segment transcription.done",
        "type model text language segments usage finish_reason done",
        _CHAT_USAGE,
    ),
    "bedrock.converse": _known(
        """
        messageStart contentBlockStart contentBlockDelta contentBlockStop messageStop metadata
        """,
        """
        output stopReason usage metrics additionalModelResponseFields performanceConfig trace
        serviceTier
        """,
        _BEDROCK_USAGE,
    ),
    "bedrock.count": _known("", "inputTokens"),
    "ollama.chat": _known("", f"message {_OLLAMA_FIELDS}"),
    "ollama.generate": _known("", f"response context thinking {_OLLAMA_FIELDS}"),
    "ollama.embed": _known("", f"embedding embeddings {_OLLAMA_FIELDS}"),
}

UNJUDGED = frozenset(
    {
        "bedrock.invoke",  # each model family answers in its own words
        "gemini.grpc",  # only fields with a number that we know become names
        "gemini.decisions",  # not documented anywhere yet
        "openai.live",  # the same
        "openai.translation",  # its events are Live's
    }
)
"""Dialects of model calls of which nobody can say what is new."""
