"""What the headers of calls nearly always say: the dictionary they are compressed with.

A call sends and gets some forty headers whose names and most values are those of every other call.
zstd finds here what a single call is too short to repeat.  What is stored is read with the very
same bytes: **never edit this text**.  A better one is a further one, with a form of its own in
`payloads`.

zstd looks back from the end, so what is said most often stands last.
"""

_REQUESTS = """
["openai-beta","assistants=v2"],["openai-beta","responses=experimental"],
["originator","codex_cli_rs"],["session_id","0199"],["conversation_id","0199"],["version","0."],
["traceparent","00-"],
["anthropic-beta","claude-code-20250219,oauth-2025-04-20,interleaved-thinking-2025-05-14"],
["anthropic-beta","fine-grained-tool-streaming-2025-05-14,prompt-caching-2024-07-31"],
["anthropic-dangerous-direct-browser-access","true"],["x-app","cli"],
["anthropic-version","2023-06-01"],["user-agent","claude-cli/2.1. (external, cli)"],
["user-agent","GeminiCLI/0. (linux; x64)"],
["x-goog-api-client","google-genai-sdk/1. gl-python/3.1"],["x-goog-api-client","gl-node/22."],
["x-fern-language","Python"],["x-fern-sdk-name","cohere"],["x-fern-sdk-version","5."],
["accept-language","*"],["accept","text/event-stream"],["accept","*/*"],
["x-stainless-helper-method","stream"],["x-stainless-timeout","600"],
["x-stainless-raw-response","true"],["x-stainless-read-timeout","600"],
["x-stainless-retry-count","0"],["x-stainless-runtime","node"],
["x-stainless-runtime-version","v22."],["x-stainless-lang","js"],["host","api.anthropic.com"],
["host","generativelanguage.googleapis.com"],["host","api.mistral.ai"],
["host","api.cohere.com"],["host","chatgpt.com"],["user-agent","Anthropic/Python 0."],
["user-agent","OpenAI/JS "],["host","api.openai.com"],
["accept-encoding","gzip, deflate, br, zstd"],["accept-encoding","gzip, deflate"],
["connection","keep-alive"],["accept","application/json"],["content-type","application/json"],
["user-agent","OpenAI/Python 2."],["x-stainless-lang","python"],
["x-stainless-package-version","1."],["x-stainless-os","Linux"],["x-stainless-os","MacOS"],
["x-stainless-arch","x64"],["x-stainless-arch","arm64"],["x-stainless-runtime","CPython"],
["x-stainless-runtime-version","3.13."],["x-stainless-async","false"],
["x-stainless-async","async:asyncio"],["content-length","1
"""

_RESPONSES = """
["retry-after","1"],["retry-after-ms","1000"],["x-should-retry","true"],["via","1.1 google"],
["x-amzn-requestid",""],["apim-request-id",""],["x-codex-primary-used-percent","0"],
["x-codex-secondary-used-percent","0"],["x-codex-plan-type",""],["mistral-correlation-id",""],
["x-kong-request-id",""],["x-kong-upstream-latency","1"],["ratelimitbysize-limit",""],
["x-ratelimit-limit-req-minute",""],["x-endpoint-monthly-call-limit",""],["num_chars",""],
["num_tokens",""],["x-debug-trace-id",""],["x-trial-endpoint-call-limit","40"],
["vary","Origin"],["vary","X-Origin"],["vary","Referer"],["x-gemini-service-tier","standard"],
["server","scaffolding on HTTPServer2"],["server-timing","gfet4t7; dur="],
["content-type","application/json; charset=UTF-8"],
["anthropic-ratelimit-requests-limit","4000"],["anthropic-ratelimit-requests-remaining","3999"],
["anthropic-ratelimit-requests-reset","202"],["anthropic-ratelimit-input-tokens-limit",""],
["anthropic-ratelimit-input-tokens-remaining",""],
["anthropic-ratelimit-input-tokens-reset","202"],["anthropic-ratelimit-output-tokens-limit",""],
["anthropic-ratelimit-output-tokens-remaining",""],
["anthropic-ratelimit-output-tokens-reset","202"],["anthropic-ratelimit-tokens-limit",""],
["anthropic-ratelimit-tokens-remaining",""],["anthropic-ratelimit-tokens-reset","202"],
["anthropic-ratelimit-unified-status","allowed"],
["anthropic-ratelimit-unified-5h-status","allowed"],["anthropic-ratelimit-unified-5h-reset",""],
["anthropic-ratelimit-unified-5h-utilization","0."],
["anthropic-ratelimit-unified-7d-status","allowed"],["anthropic-ratelimit-unified-7d-reset",""],
["anthropic-ratelimit-unified-7d-utilization","0."],["anthropic-ratelimit-unified-reset",""],
["anthropic-ratelimit-unified-representative-claim","five_hour"],
["anthropic-ratelimit-unified-overage-status","rejected"],["anthropic-organization-id",""],
["request-id","req_011C"],["x-envoy-upstream-service-time",""],["content-encoding","gzip"],
["content-encoding","br"],["transfer-encoding","chunked"],["connection","keep-alive"],
["date","Mon, 01 Jan 2026 00:00:00 GMT"],["server","cloudflare"],
["openai-organization",""],["openai-project","proj_"],["openai-processing-ms",""],
["openai-version","2020-10-01"],["x-ratelimit-limit-requests","10000"],
["x-ratelimit-limit-tokens","200000"],["x-ratelimit-remaining-requests","9999"],
["x-ratelimit-remaining-tokens","199"],["x-ratelimit-reset-requests","6ms"],
["x-ratelimit-reset-tokens","0s"],["x-request-id","req_"],["cf-cache-status","DYNAMIC"],
["cf-ray",""],["content-type","text/event-stream; charset=utf-8"],
["content-type","application/json"],["content-length","1
"""

HEADERS = (_REQUESTS + _RESPONSES).replace("\n", "").encode()
