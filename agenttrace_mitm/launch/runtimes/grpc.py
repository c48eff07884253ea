"""gRPC: it has a proxy variable and a roots variable of its own."""

from collections.abc import Mapping

from .context import Context


def variables(context: Context, environ: Mapping[str, str]) -> dict[str, str]:
    """`grpc_proxy`, and roots that replace the built-in ones."""
    name = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"
    proxy = {"grpc_proxy": context.proxy_url} if context.proxied else {}
    return {**proxy, name: context.replacing(environ.get(name))}
