"""What keys and tokens look like: one table, read by `redaction`.

A shape is recognised at the start of a token, a run of `[A-Za-z0-9_-]`.  Only published formats
are listed; nothing here guesses by how random a text looks.
"""

import re
from dataclasses import dataclass

SHORTEST = 16
"""No secret listed here has a shorter run."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A kind of secret: how it begins, and all of it."""

    kind: str
    starts: tuple[str, ...]
    pattern: re.Pattern[bytes]


def _shape(kind: str, starts: str, pattern: str) -> Shape:
    return Shape(kind, tuple(starts.split()), re.compile(pattern.encode()))


# A digit and a capital, or three digits: `sk-` also begins CSS classes (`sk-folding-cube`).
_MIXED = r"(?=(?:[\w-]*?[0-9]){3}|[\w-]*?[A-Z][\w-]*?[0-9]|[\w-]*?[0-9][\w-]*?[A-Z])"
_END = r"(?![\w-])"

SHAPES = (
    _shape("anthropic_key", "sk-", r"sk-ant-[\w-]{12,}"),
    _shape("openai_key", "sk-", r"sk-(?:proj|svcacct|admin|None)-[\w-]{12,}"),
    _shape("api_key", "sk-", rf"sk-{_MIXED}[\w-]{{13,}}"),
    _shape("openai_key", "sess-", rf"sess-{_MIXED}[A-Za-z0-9]{{24,}}"),
    _shape("openai_key", "ek_", rf"ek_{_MIXED}[A-Za-z0-9]{{20,}}"),
    _shape("google_key", "AIza", r"AIza[\w-]{30,}"),
    _shape("google_key", "AQ.", r"AQ\.[\w-]{16,}(?:\.[\w-]+)*"),
    _shape("google_token", "ya29.", r"ya29\.[\w-]{16,}(?:\.[\w-]+)*"),
    _shape("google_secret", "GOCSPX-", r"GOCSPX-[\w-]{16,}"),
    _shape("github_token", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_[A-Za-z0-9]{20,}"),
    _shape("github_token", "github_pat_", r"github_pat_[A-Za-z0-9_]{20,}"),
    _shape("gitlab_token", "glpat- gldt- glrt-", r"gl(?:pat|dt|rt)-[\w-]{16,}(?:\.[\w.-]+)?"),
    _shape(
        "slack_token",
        "xoxa- xoxb- xoxc- xoxd- xoxe- xoxe. xoxo- xoxp- xoxr- xoxs- xapp-",
        r"(?:xox[a-z][-.]|xapp-)[A-Za-z0-9%.-]{10,}",
    ),
    _shape("aws_key", "AKIA ASIA ABIA ACCA", rf"A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{{16}}{_END}"),
    _shape("stripe_key", "sk_live_ sk_test_ rk_live_ rk_test_", r"[sr]k_(?:live|test)_\w{16,}"),
    _shape("stripe_key", "whsec_", r"whsec_[A-Za-z0-9+/=]{20,}"),
    _shape("jwt", "eyJ", r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*(?:\.[\w-]+){0,2}"),
    _shape("huggingface_token", "hf_", r"hf_[A-Za-z0-9]{20,}"),
    _shape("npm_token", "npm_", r"npm_[A-Za-z0-9]{30,}"),
    _shape("pypi_token", "pypi-", r"pypi-[\w-]{40,}"),
    _shape("telegram_token", "AA", rf"(?<=[0-9]{{8}}:)AA[\w-]{{32,34}}{_END}"),
    _shape("sendgrid_key", "SG.", r"SG\.[\w-]{16,}\.[\w-]{16,}"),
    _shape("twilio_key", "SK", rf"SK[0-9a-f]{{32}}{_END}"),
    _shape("groq_key", "gsk_", r"gsk_[A-Za-z0-9]{20,}"),
    _shape("xai_key", "xai-", rf"xai-{_MIXED}[A-Za-z0-9]{{20,}}"),
    _shape("xai_key", "xai-", r"xai-realtime-client-secret-[\w-]{12,}"),
    _shape("perplexity_key", "pplx-", r"pplx-[A-Za-z0-9]{20,}"),
    _shape("nvidia_key", "nvapi-", r"nvapi-[\w-]{20,}"),
    _shape("cerebras_key", "csk-", rf"csk-{_MIXED}[A-Za-z0-9]{{20,}}"),
    _shape("replicate_token", "r8_", r"r8_[A-Za-z0-9]{30,}"),
    _shape("tavily_key", "tvly-", rf"tvly-{_MIXED}[\w-]{{16,}}"),
    _shape("langsmith_key", "lsv2_", r"lsv2_[a-z]{2}_[\w-]{20,}"),
    _shape("linear_key", "lin_api_", r"lin_api_[A-Za-z0-9]{20,}"),
    _shape("digitalocean_token", "dop_v1_", r"dop_v1_[0-9a-f]{40,}"),
    _shape("shopify_token", "shpat_ shpss_", r"shp(?:at|ss)_[0-9a-fA-F]{32}"),
    _shape("atlassian_token", "ATATT3", r"ATATT3[\w=-]{40,}"),
    _shape("vault_token", "hvs. hvb.", r"hv[sb]\.[\w-]{16,}"),
    _shape("databricks_token", "dapi", rf"dapi[0-9a-f]{{32}}(?:-[0-9])?{_END}"),
    _shape("fireworks_key", "fw_", rf"fw_{_MIXED}[A-Za-z0-9]{{20,}}{_END}"),
    _shape("together_key", "tgp_v1_", r"tgp_v1_[\w-]{30,}"),
    _shape("jina_key", "jina_", rf"jina_{_MIXED}[\w-]{{30,}}"),
    _shape("firecrawl_key", "fc-", rf"fc-[0-9a-f]{{32}}{_END}"),
    _shape("grafana_token", "glsa_ glc_", rf"gl(?:sa|c)_{_MIXED}[\w=]{{30,}}"),
    _shape("notion_token", "ntn_", rf"ntn_{_MIXED}[A-Za-z0-9]{{40,}}"),
    _shape("docker_token", "dckr_pat_ dckr_oat_", r"dckr_[po]at_[\w-]{20,}"),
    _shape("supabase_token", "sbp_", rf"sbp_[0-9a-f]{{40}}{_END}"),
    _shape("figma_token", "figd_", r"figd_[\w-]{30,}"),
    _shape("age_key", "AGE-SECRET-KEY-", r"AGE-SECRET-KEY-1[0-9A-Z]{40,}"),
)

PRIVATE_KEY = re.compile(
    rb"-----BEGIN (?:[A-Z0-9]+ ){0,2}PRIVATE KEY(?: BLOCK)?-----"
    # Line ends may be JSON-escaped, once or more; legacy keys have header lines.
    rb"(?=(?:\s|\\+[nr]|[A-Za-z0-9-]+: [^\n\\]{0,99}){0,9}[A-Za-z0-9+/]{16})"
    rb"(?:(?:[^-]|-(?!----)){0,20000}+-----END (?:[A-Z0-9]+ ){0,2}PRIVATE KEY(?: BLOCK)?-----"
    rb"|(?:(?:\s|\\+[nr])*+[A-Za-z0-9+/=]{24,})*+)"
)
"""A PEM block; of one that is cut short the whole lines."""

URL_PASSWORD = re.compile(
    rb"://[^\s/:@\"'<>{}\\$]{0,64}:(?!(?i:pass|password|passwd|pwd|secret|x+|\*+)@)([^\s/@\"'<>{}\\$]{3,256})@[\w\[.-]"
)
"""`scheme://user:password@host`; group 1 is the password."""

AWS_SECRET = re.compile(
    rb"\\*[\"']?\s{0,8}[:=]>?\s{0,8}\\*[\"']?([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])"
)
"""What follows the name of an AWS secret access key, which has no shape of its own."""

AWS_SECRET_NAMES = (b"secret_access_key", b"SECRET_ACCESS_KEY", b"ecretAccessKey")
AWS_SHORT_NAME = b"SecretAccessKey"
"""As it stands in AWS's own JSON: one letter too short to be a run."""

NAMES = (
    r"(?:x-)?(?:goog-)?api[_-]?key|subscription-key|access[_-]?key|account[_-]?key|shared[_-]?access[_-]?key"
    r"|secret[_-]?(?:access[_-]?)?key|signing[_-]?key|private[_-]?key|encryption[_-]?key"
    r"|(?:access|refresh|auth|bearer|session|security|api|bot|id|personal|private)[_-]?token"
    r"|authorization(?:[_-]?token)?|x-(?:[a-z]{1,20}-)?auth"
    r"|client[_-]?secret|(?:app|webhook|signing|jwt)[_-]?secret|password|passwd|db[_-]?pass"
)
"""Names of things whose value is a secret, in JSON, in environments, in query strings."""

_SHOUTED = r"[A-Z0-9]_(?:KEY|TOKEN|SECRET|PASSWORD|PASS)"

SECRET_NAME = re.compile(rf".*(?:(?i:{NAMES})|{_SHOUTED})")
"""A JSON key whose string value is a secret."""

BARE_NAMES = frozenset(("token", "secret"))
"""Keys of words and settings as well: theirs has to look like a secret itself."""

_AND = r"(?:[?&]|&amp;|\\+u0026|%(?:25)*(?:3[Ff]|26))"
"""What stands before the name of a query parameter, also in HTML, in JSON and in another query."""

_IS = r"(?:=|\\+u003[Dd]|%(?:25)*3[Dd])"

_LINE = r"(?:\A|[\n\r\t\"']|\\+[nrt]|→|\\+u2192)[ \t+-]{0,24}"
"""Where a line begins, numbered or of a difference as well."""

_HEADER = r"(?:x-)?(?:goog-)?api-key|(?:proxy-)?authorization|x-auth-token"

NAMED = re.compile(
    rf"(?:(?i:{NAMES})|{_SHOUTED}|{_AND}(?i:key|token|sig|signature|secret|auth|ek|jwt)"
    r"|[\"'](?P<bare>(?i:token|secret))(?=\\*[\"']))"
    rf"(?:\\*[\"']?\s{{0,4}}[:=]>?\s{{0,4}}b?\\*(?P<quote>[\"'])|{_IS}|\\*[\"']?:\s?)\Z"
    rf"|{_LINE}(?P<line>token|secret):\s{{1,4}}\\*[\"']?\Z"
    rf"|[\"'](?i:{_HEADER})\\*[\"'],\s?b?\\*(?P<paired>[\"'])\Z"
    r"|(?i:authorization\\*[\"']?\s{0,4}[:=]\s{0,4}\\*[\"']?(?:token|api-?key)\s)\Z".encode()
)
"""What stands before a named secret's value; ends where the value begins."""

NAME_ENDS = frozenset(
    {b"key", b"ken", b"ret", b"ord", b"swd", b"ass", b"sig", b"ure", b"ion", b"uth", b"jwt"}
    | {b"?ek", b"&ek"}
)
"""The last letters of those names: a cheap test before the exact one."""

LONG_ENDS = {b"ion": b"authorization", b"ure": b"signature", b"ord": b"password"}
"""Of some the whole word: other words that end so are everywhere."""

SIGNATURES = (b"ignature", b"sig", b"-Security-Token")
"""How the names end of parameters by which a URL opens what it points to."""

EQUALS = re.compile(_IS.encode())

SIGNED = re.compile(
    rf"{_AND}(?:X-(?:Amz|Goog)-(?:Signature|Security-Token)|(?i:signature|sig)){_IS}\Z".encode()
)
"""What stands before such a parameter's value."""

SIGNATURE = re.compile(rb"(?:[A-Za-z0-9._~+/=-]|%(?!(?:25)*(?:26|3[Ff]))[0-9A-Fa-f]{2}){16,}")
"""The value; it goes on behind what is percent-encoded in it."""

IN_PATH = re.compile(
    rb"(?:auth_tokens/|hooks\.slack\.com/(?:services|workflows|triggers)/[\w/]{4,60}/"
    rb"|mcp\.zapier\.com/api/(?:v[0-9]/)?mcp/s/|discord(?:app)?\.com/api/webhooks/[0-9]{5,25}/)\Z"
)
"""What stands before a secret that is the last part of a path."""

PATH_WORDS = (b"auth_tokens/", b"hooks.slack.com", b"/api/webhooks/", b"mcp.zapier.com")
"""One of these is in such a path."""

FORM_FIELD = re.compile(
    rb"form-data;[^\r\n]{0,80}?\bname=\"([\w-]{2,64})\"\r?\n(?:[^\r\n]{1,200}\r?\n){0,4}\r?\n"
    rb"([^\r\n]{1,4096})"
)
"""A field of a form that is no file: its name and its value."""

BEARER = re.compile(rb"(?i)\b(bearer|basic)(?:\s|\+|%20){1,3}\Z")
"""What stands before the value of an Authorization header."""
