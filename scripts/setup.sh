# shellcheck shell=bash
# Sourced by the other scripts: makes .venv in the checkout, once, with what the constraints say.
#
#   setup [EXTRA ...]    sets $venv; a second call with the same inputs costs a checksum

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv="$top/.venv"

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

good() {
    [ -n "$1" ] && "$1" -I -c 'import sys, ssl, sqlite3, venv; sys.exit(sys.version_info < (3, 12))' \
        >/dev/null 2>&1
}

# Every Python that might do: named on PATH, known to uv, kept by pyenv here or at the user's
# real home, and the siblings of the python3 on PATH (version managers keep them side by side).
candidates() {
    local name here home
    for name in "${PYTHON:-}" python3.13 python3.12 python3.14 python3 python; do
        [ -n "$name" ] && type -aP "$name" 2>/dev/null
    done
    command -v uv >/dev/null 2>&1 &&
        uv python find --no-python-downloads '>=3.12' 2>/dev/null
    home=$(getent passwd "$(id -u)" 2>/dev/null | cut -d: -f6)
    here=$(python3 -c 'import os, sys; print(os.path.dirname(os.path.realpath(sys.base_prefix)))' \
        2>/dev/null)
    for name in "${PYENV_ROOT:-}/versions" "$(pyenv root 2>/dev/null)/versions" \
        ~/.pyenv/versions "${home:-/nonexistent}/.pyenv/versions" "${here:-/nonexistent}"; do
        printf '%s\n' "$name"/3.13*/bin/python3 "$name"/3.12*/bin/python3 \
            "$name"/3.1[4-9]*/bin/python3
    done
}

find_python() {
    local each
    while read -r each; do
        if [ -x "$each" ] && good "$each"; then
            # Not a shim: its choice depends on the folder one is in.
            "$each" -I -c 'import sys; print(sys.executable)'
            return 0
        fi
    done < <(candidates)
    return 1
}

install() {
    if command -v uv >/dev/null 2>&1 && uv --version >/dev/null 2>&1; then
        uv pip install --quiet --python "$venv/bin/python" "$@"
    else
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
    fi
}

setup() {
    local extras stamp wanted python minor constraints options=()
    extras=$(IFS=,; printf '%s' "$*")
    stamp="$venv/.agenttrace-$extras"
    wanted=$(cat "$top/pyproject.toml" "$top"/constraints/*.txt "$top/scripts/setup.sh" | cksum)
    if [ -x "$venv/bin/agenttrace-mitm" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] &&
        [ "$(cat "$venv/.agenttrace-place" 2>/dev/null)" = "$top" ]; then
        return 0
    fi
    # A working .venv that somebody made here is added to, never cleared; one that was moved or
    # copied here points elsewhere, and one whose Python is gone or too old is of no use.
    if ! good "$venv/bin/python" || [ "$(cat "$venv/.agenttrace-place" 2>/dev/null || echo "$top")" != "$top" ]; then
        [ ! -L "$venv" ] ||
            fail "The .venv here is a link to somebody else's, which is not to be cleared: remove the link and run this again."
        python=$(find_python) ||
            fail "AgentTrace needs Python 3.12 or newer: install it (python.org, your package manager, or \`uv python install 3.12\`) and run this again."
        printf 'Setting up .venv with %s; this takes a minute, once.\n' \
            "$("$python" --version)" >&2
        if command -v uv >/dev/null 2>&1 && uv --version >/dev/null 2>&1; then
            uv venv --quiet --clear --seed --python "$python" "$venv" || fail "The .venv could not be made."
        else
            "$python" -m venv --clear "$venv" ||
                fail "The .venv could not be made: install Python's venv module (python3-venv) and run this again."
        fi
    fi
    printf '%s' "$top" >"$venv/.agenttrace-place"
    minor=$("$venv/bin/python" -c 'import sys; print("py%d%d" % sys.version_info[:2])')
    constraints="$top/constraints/$minor.txt"
    [ -f "$constraints" ] && options=(--constraint "$constraints")
    install "${options[@]}" --editable "$top${extras:+[$extras]}" ||
        fail "The installation failed: see the lines above; a working package index is needed."
    # Without bytecode every start would compile what it imports.
    env -u PYTHONDONTWRITEBYTECODE "$venv/bin/python" -m compileall -q -j 0 \
        "$venv/lib" "$top/agenttrace_mitm" "$top/datasette_plugins" >/dev/null 2>&1 || true
    printf '%s' "$wanted" >"$stamp"
}
