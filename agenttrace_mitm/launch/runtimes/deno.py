"""Deno: DENO_CERT adds to its roots."""

from collections.abc import Mapping

from .context import Context


def variables(context: Context, environ: Mapping[str, str]) -> dict[str, str]:
    """Our root beside the user's extra one."""
    return {"DENO_CERT": context.adding(environ.get("DENO_CERT"))}
