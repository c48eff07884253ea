"""What each runtime needs to fetch a page: the programs of the rehearsal."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

JAVA = """
import java.net.URI;
import java.net.http.*;
public class Call {
    public static void main(String[] given) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(given[0])).build();
        HttpClient client = HttpClient.newHttpClient();
        System.out.print(client.send(request, HttpResponse.BodyHandlers.ofString()).body());
    }
}
"""
GO = """
package main

import ("io"; "net/http"; "os")

func main() {
    answer, err := http.Get(os.Args[1])
    if err != nil { println(err.Error()); os.Exit(1) }
    io.Copy(os.Stdout, answer.Body)
}
"""
PYTHON = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode(), end='')"
NODE = """
const url = process.argv[1];
const show = (text) => process.stdout.write(text);
if (typeof fetch === "function") fetch(url).then((r) => r.text()).then(show);
else require("https").get(url, (r) => r.setEncoding("utf8").on("data", show));
"""
RUBY = "require 'net/http'; print Net::HTTP.get(URI(ARGV[0]))"
PHP = """
if (!function_exists("curl_init")) { echo file_get_contents($argv[1]); exit; }
$curl = curl_init($argv[1]);
if (!curl_exec($curl)) { fwrite(STDERR, curl_error($curl)); exit(1); }
"""
FETCH = "process.stdout.write(await (await fetch({url!r})).text())"
DENO = "await Deno.stdout.write(new TextEncoder().encode(await (await fetch({url!r})).text()))"
PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Runtime:
    """One runtime: `command` makes the call to a URL, with a folder for a source file."""

    name: str
    programs: tuple[str, ...]
    command: Callable[[str, str, Path], list[str]]
    patience_s: float = PATIENCE_S
    unable: str = ""
    """What it says when it is there but cannot run our program."""

    def path(self, search: str | None) -> str | None:
        """Where it is."""
        found = (shutil.which(program, path=search) for program in self.programs)
        return next(filter(None, found), None)


def _source(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


RUNTIMES = (
    Runtime("python", ("python3", "python"), lambda p, url, _: [p, "-c", PYTHON, url]),
    Runtime("node", ("node",), lambda p, url, _: [p, "-e", NODE, url]),
    Runtime("curl", ("curl",), lambda p, url, _: [p, "-sS", url]),
    Runtime("wget", ("wget",), lambda p, url, _: [p, "-nv", "-O-", url]),
    Runtime(
        "java",
        ("java",),
        lambda p, url, folder: [p, _source(folder, "Call.java", JAVA), url],
        unable="jdk.compiler",
    ),
    Runtime(
        "go",
        ("go",),
        # Its first build takes the standard library with it.
        lambda p, url, folder: [p, "run", _source(folder, "call.go", GO), url],
        patience_s=180.0,
    ),
    Runtime("ruby", ("ruby",), lambda p, url, _: [p, "-e", RUBY, url]),
    Runtime("php", ("php",), lambda p, url, _: [p, "-r", PHP, url]),
    Runtime("deno", ("deno",), lambda p, url, _: [p, "eval", DENO.format(url=url)]),
    Runtime("bun", ("bun",), lambda p, url, _: [p, "-e", FETCH.format(url=url)]),
)
