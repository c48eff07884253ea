"""`logs`: what the processes had to say."""

import time

import click

from . import options

NAMES = ("recorder", "capture", "web", "supervisor", "alerts")
"""The processes, and the checks of `alerts install-cron`."""


@click.command()
@click.argument("name", required=False, type=click.Choice(NAMES))
@click.option("-f", "--follow", is_flag=True, help="Wait for more.")
@click.option(
    "-n",
    "--last",
    type=options.NUMBER,
    default=50,
    show_default=True,
    help="Begin with so many lines.",
)
def command(name: str | None, follow: bool, last: int) -> None:
    """Show the log files, of all processes or of one.

    \b
    agenttrace-mitm logs -f capture
    """
    from ..launch import logs
    from .text import printable

    folder = options.load({}).log_folder
    files = {one: logs.file(folder, one) for one in ([name] if name else NAMES)}
    read = dict.fromkeys(files, 0)
    first = True
    try:
        while True:
            for one, path in files.items():
                content = path.read_bytes() if path.exists() else b""
                if len(content) < read[one]:  # cut meanwhile
                    read[one] = 0
                lines = content[read[one] :].decode(errors="replace").splitlines()
                for line in lines[max(0, len(lines) - last) :] if first else lines:
                    # Names that peers sent stand in it: they must not move anybody's cursor.
                    said = printable(line.expandtabs())
                    click.echo(said if name else f"{one:<10} {said}")
                read[one] = len(content)
            if not follow:
                if not any(read.values()):
                    click.echo(f"Nothing was logged in {folder}.", err=True)
                return
            first = False
            time.sleep(0.5)
    except KeyboardInterrupt:
        return
