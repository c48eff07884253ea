"""Hosts beyond the five providers, by the name under which they are switched on: data.

A host is an exact name, `*.` and a domain for one label before it, or, for servers on this
machine that speak plain HTTP, a name with a port.  Which dialect is spoken follows from the path.
Clouds whose host names hold a region list the regions: a wildcard in the middle of a name cannot
be expressed in a certificate authority's constraints.
"""

from collections.abc import Mapping

_BEDROCK_REGIONS = (
    "us-east-1 us-east-2 us-west-1 us-west-2 ca-central-1 ca-west-1 sa-east-1 "
    "eu-central-1 eu-central-2 eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3 "
    "ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2 ap-southeast-1 "
    "ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-7 ap-east-2 "
    "il-central-1 me-central-1 me-south-1 af-south-1 mx-central-1 us-gov-east-1 us-gov-west-1"
)
_VERTEX_REGIONS = (
    "us-central1 us-east1 us-east4 us-east5 us-south1 us-west1 us-west2 us-west3 us-west4 "
    "northamerica-northeast1 northamerica-northeast2 southamerica-east1 southamerica-west1 "
    "europe-central2 europe-north1 europe-southwest1 europe-west1 europe-west2 europe-west3 "
    "europe-west4 europe-west6 europe-west8 europe-west9 europe-west12 "
    "asia-east1 asia-east2 asia-northeast1 asia-northeast2 asia-northeast3 asia-south1 "
    "asia-south2 asia-southeast1 asia-southeast2 australia-southeast1 australia-southeast2 "
    "me-central1 me-central2 me-west1 africa-south1"
)


def _of(provider: str, *hosts: str) -> dict[str, str]:
    return dict.fromkeys(hosts, provider)


def _regional(provider: str, pattern: str, regions: str) -> dict[str, str]:
    return {pattern.format(region): provider for region in regions.split()}


def _local(provider: str, port: int) -> dict[str, str]:
    return _of(provider, f"localhost:{port}", f"127.0.0.1:{port}")


PROFILES: Mapping[str, Mapping[str, str]] = {
    # Subscriptions of coding agents.
    "chatgpt": _of("openai", "chatgpt.com"),
    "cloudcode": _of("google", "cloudcode-pa.googleapis.com"),
    "copilot": _of(
        "copilot",
        "api.githubcopilot.com",
        "api.individual.githubcopilot.com",
        "api.business.githubcopilot.com",
        "api.enterprise.githubcopilot.com",
    ),
    # A host apart, with keys of its own, for editors.
    "codestral": _of("mistral", "codestral.mistral.ai"),
    # Clouds.
    "azure": _of(
        "azure", "*.openai.azure.com", "*.services.ai.azure.com", "*.cognitiveservices.azure.com"
    ),
    "vertex": {
        **_of(
            "vertex",
            "aiplatform.googleapis.com",
            "aiplatform.us.rep.googleapis.com",
            "aiplatform.eu.rep.googleapis.com",
            "claude.googleapis.com",
        ),
        **_regional("vertex", "{}-aiplatform.googleapis.com", _VERTEX_REGIONS),
    },
    "bedrock": {
        **_regional("bedrock", "bedrock-runtime.{}.amazonaws.com", _BEDROCK_REGIONS),
        **_regional("bedrock", "bedrock-mantle.{}.api.aws", _BEDROCK_REGIONS),
        **_regional("bedrock", "aws-external-anthropic.{}.api.aws", _BEDROCK_REGIONS),
    },
    # Who speaks OpenAI's dialects, and some Anthropic's.
    "openrouter": _of("openrouter", "openrouter.ai"),
    "groq": _of("groq", "api.groq.com"),
    "deepseek": _of("deepseek", "api.deepseek.com"),
    "xai": _of("xai", "api.x.ai", "us-east-1.api.x.ai", "eu-west-1.api.x.ai"),
    "together": _of("together", "api.together.xyz", "api.together.ai"),
    "fireworks": _of("fireworks", "api.fireworks.ai"),
    "cerebras": _of("cerebras", "api.cerebras.ai"),
    "perplexity": _of("perplexity", "api.perplexity.ai"),
    "moonshot": _of("moonshot", "api.moonshot.ai", "api.moonshot.cn"),
    "zai": _of("zai", "api.z.ai", "open.bigmodel.cn"),
    "minimax": _of("minimax", "api.minimax.io", "api.minimaxi.com"),
    "qwen": _of("qwen", "dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com"),
    "nvidia": _of("nvidia", "integrate.api.nvidia.com"),
    "sambanova": _of("sambanova", "api.sambanova.ai"),
    "deepinfra": _of("deepinfra", "api.deepinfra.com"),
    "hyperbolic": _of("hyperbolic", "api.hyperbolic.xyz"),
    "novita": _of("novita", "api.novita.ai"),
    "venice": _of("venice", "api.venice.ai"),
    "doubleword": _of("doubleword", "api.doubleword.ai"),
    "github-models": _of("github", "models.github.ai", "models.inference.ai.azure.com"),
    "huggingface": _of("huggingface", "router.huggingface.co"),
    "vercel": _of("vercel", "ai-gateway.vercel.sh"),
    "ollama-cloud": _of("ollama", "ollama.com"),
    # Servers on this machine, over plain HTTP.
    "ollama": _local("ollama", 11434),
    "vllm": _local("vllm", 8000),
    "lmstudio": _local("lmstudio", 1234),
    "llamacpp": _local("llamacpp", 8080),
}
"""Name of the profile -> host -> provider."""
