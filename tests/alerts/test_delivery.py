"""Messages against real servers on loopback: what is sent, how often, and what failures cost."""

import base64
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from agenttrace_mitm.alerts import command, mail, webhook
from agenttrace_mitm.alerts.outbox import GIVE_UP_US, LEASE_US, drain, sender
from agenttrace_mitm.alerts.targets import NotDelivered, shown, target_of
from agenttrace_mitm.errors import SettingsError
from agenttrace_mitm.settings import Settings
from tests.alerts import receivers
from tests.alerts.conftest import PAGES

KEY = b"k" * 32


@pytest.fixture
def hook():
    with receivers.hook() as made:
        yield made


@pytest.fixture
def box():
    with receivers.mailbox() as made:
        yield made


@pytest.fixture
def fired(scene):
    """Makes a rule with these targets fire."""

    def fire(*targets):
        scene.rule("error_rate", name="errors", per="agent", min_calls=1, deliver=targets)
        scene.calls(3, agent_id="bot", outcome="error")
        scene.check()
        return scene.messages[0]

    return fire


class Time:
    """A clock that moves when somebody sleeps."""

    def __init__(self, scene) -> None:
        self.us = scene.now_us
        self.slept: list[float] = []

    def now(self) -> int:
        return self.us

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 3))
        self.us += int(seconds * 1e6)


def drained(scene, time_, wait_s=0.0):
    settings = Settings(home=scene.path.parent)
    return drain(scene.store, sender(settings), wait_s, now=time_.now, sleep=time_.sleep)


# ------------------------------------------------------------------ webhooks


def test_a_webhook_has_the_old_fields_and_a_signature(scene, fired, hook):
    fired(hook.address)
    assert drained(scene, Time(scene)).arrived == 1
    (request, headers, body) = hook.seen[0]
    assert request == "POST /hook?x=1 HTTP/1.1\r\n"
    said = json.loads(body)
    assert said["agent_id"] == "bot"
    assert said["rule_type"] == "error_rate"
    assert said["message"] == "Firing: errors: bot: 3 of 3 calls failed in 15 min (100%)"
    assert said["timestamp"].startswith("2026-11-18T12:00")
    assert said["id"] == headers["webhook-id"]
    assert said["links"]["calls"][0].startswith(f"{PAGES}/-/agenttrace/calls/")
    # As a receiver checks it, from the documentation of Standard Webhooks.
    secret = (scene.path.parent / "webhook.key").read_text().strip()
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_retries_after_1_4_and_16_seconds_with_one_id(scene, fired, hook):
    fired(hook.address)
    hook.answers = [receivers.status(500)] * 3
    time_ = Time(scene)
    sent = drained(scene, time_, 25)
    assert time_.slept == [1, 4, 16]
    assert (sent.arrived, sent.failed) == (1, 3)
    assert len(set(hook.ids)) == 1
    (message,) = scene.messages
    assert message.attempts == 4
    assert message.delivered_us
    assert message.problem is None


def test_an_outage_delays_and_is_shown(scene, fired, hook):
    """Less and less often, and after a week given up: until somebody wants it tried again."""
    fired(hook.address)
    hook.answers = [receivers.status(503)] * 1_000
    time_ = Time(scene)
    drained(scene, time_, 22)
    assert scene.messages[0].problem == "answered 503 No"
    assert scene.messages[0].failed_us is None
    drained(scene, time_, 8 * 86_400)
    assert time_.slept[:8] == [1, 4, 16, 60, 300, 900, 3600, 3600]
    (message,) = scene.messages
    assert message.failed_us - message.created_us >= GIVE_UP_US
    hook.answers = []
    assert drained(scene, time_).arrived == 0
    scene.store.retry_failed(time_.now())
    assert drained(scene, time_).arrived == 1


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (receivers.status(404), "answered 404"),
        (receivers.status(302, "location: http://127.0.0.1:1/"), "answered 302"),
        (receivers.hangs_up, ""),
        (receivers.says("no http at all\r\n\r\n"), ""),
        (receivers.says("HTTP/1.1 2"), ""),
        (receivers.says("HTTP/1.1 200 OK\r\n" + "x: " + "y" * 100_000), ""),
        (receivers.is_silent, "no answer within 0.5 s"),
        (receivers.drips, "no answer within 0.5 s"),
    ],
    ids=["404", "redirect", "hang-up", "no-http", "cut", "endless-header", "silence", "drip"],
)
def test_every_failure_is_one(fired, hook, answer, problem):
    message = fired(hook.address)
    hook.answers = [answer]
    began = time.monotonic()
    timeout_s = 0.5 if "0.5 s" in problem else 20
    with pytest.raises(NotDelivered, match=problem or None):
        webhook.send(target_of(hook.address), message, KEY, 1, timeout_s=timeout_s)
    assert time.monotonic() - began < 60  # a drip would take minutes


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/x", "https://127.0.0.1:1/x",
                                     "http://does-not-exist.invalid/"])  # fmt: skip
def test_nobody_there_is_a_failure(fired, address):
    message = fired(address)
    with pytest.raises(NotDelivered):
        webhook.send(target_of(address), message, KEY, 1)


def test_tls_is_checked(fired, tmp_path):
    """A certificate that nobody vouches for gets no message."""
    import asyncio
    import threading

    from agenttrace_mitm.demo.certificates import server_context

    context, _ = server_context(tmp_path, ["localhost"])
    loop = asyncio.new_event_loop()
    seen = []

    async def serve(reader, writer):
        seen.append(await reader.read(100))
        writer.close()

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0, ssl=context))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    address = f"https://localhost:{server.sockets[0].getsockname()[1]}/"
    message = fired(address)
    with pytest.raises(NotDelivered, match="certificate"):
        webhook.send(target_of(address), message, KEY, 1)
    assert not any(seen)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)


def test_nobody_hears_of_an_end_before_the_beginning(scene, fired, hook):
    fired(hook.address)
    hook.answers = [receivers.status(500)] * 2
    time_ = Time(scene)
    drained(scene, time_)
    scene.calls(100, agent_id="bot")
    scene.check(0.001)
    time_.us = scene.now_us
    assert scene.told == ["fired", "resolved"]
    drained(scene, time_, 30)
    assert [body["transition"] for body in hook.bodies] == ["fired"] * 3 + ["resolved"]


def test_episodes_arrive_in_their_order(scene, fired, hook):
    """A second beginning waits for the end of the first."""
    fired(hook.address)
    time_ = Time(scene)
    drained(scene, time_)
    hook.answers = [receivers.status(500)]
    for failed in (False, True):
        scene.db.execute("delete from llm_calls")
        scene.calls(5, agent_id="bot", outcome="error" if failed else "ok")
        scene.check(0.001)
        time_.us = scene.now_us
        drained(scene, time_)
    drained(scene, time_, 30)
    assert [body["transition"] for body in hook.bodies] == ["fired"] + ["resolved"] * 2 + ["fired"]


def test_a_bad_target_does_not_hold_up_the_others(scene, fired, hook):
    fired("http://127.0.0.1:1/", hook.address)
    assert drained(scene, Time(scene)).arrived == 1
    assert len(hook.seen) == 1


def test_a_damaged_key_is_a_failure_that_is_shown(scene, fired, hook):
    """Nothing unsigned is sent, and the checks go on."""
    fired(hook.address)
    key = scene.path.parent / "webhook.key"
    key.write_text("whsec_not base64!")
    assert drained(scene, Time(scene)).failed == 1
    assert "webhook.key cannot be used" in scene.messages[0].problem
    assert hook.seen == []


@pytest.mark.parametrize("how", ["slack", "discord", "teams"])
def test_shapes_of_chat_programs(fired, hook, how):
    message = fired(f"{how}:{hook.address}")
    hostile = message.body | {"message": "<!channel> @everyone & so on"}
    message = message.model_copy(update={"body": hostile})
    webhook.send(target_of(message.target), message, KEY, 1)
    said = hook.bodies[0]
    match how:
        case "slack":
            assert said["text"].startswith("&lt;!channel&gt; @everyone &amp; so on\n")
        case "discord":
            assert said["content"].startswith("<!channel> @everyone")
            assert said["allowed_mentions"] == {"parse": []}
        case "teams":
            card = said["attachments"][0]
            assert card["contentType"] == "application/vnd.microsoft.card.adaptive"
            assert card["content"]["body"][0]["text"] == "<!channel> @everyone & so on"


def test_chat_programs_are_known_by_their_hosts():
    assert target_of("https://hooks.slack.com/services/x").how == "slack"
    assert target_of("https://discord.com/api/webhooks/1/x").how == "discord"
    assert target_of("webhook:https://discord.com/x").how == "webhook"


@pytest.mark.parametrize(
    "text", ["", "x", "http://", "file:///etc/passwd", "mailto:", "command: ", "http://a:b/",
             "slack:x", "http://a/\r\nx: y", "mailto:a@b,c@d"],
)  # fmt: skip
def test_what_is_no_target(text):
    with pytest.raises(SettingsError, match="not a target"):
        target_of(text)


def test_what_is_shown_of_a_target_is_no_secret():
    assert shown("slack:https://hooks.slack.com/services/T/B/secret").endswith("slack.com/...")
    assert shown("https://user:secret@example.com/hook?key=secret") == (
        "webhook: https://example.com/..."
    )


# ------------------------------------------------------------------ mail


def test_mail_is_sent_with_the_messages_id(scene, fired, box, monkeypatch):
    monkeypatch.setenv("SMTP_HOST", "127.0.0.1")
    monkeypatch.setenv("SMTP_PORT", str(box.port))
    monkeypatch.setenv("SMTP_FROM", "alerts@example.com")
    message = fired("mailto:me@example.com")
    box.refusals = ["451 later", "550 no"]
    time_ = Time(scene)
    assert drained(scene, time_, 25).arrived == 1
    assert time_.slept == [1, 4]
    (mail_,) = box.mails
    assert mail_["Message-ID"] == f"<{message.id}@agenttrace>"
    assert (mail_["From"], mail_["To"]) == ("alerts@example.com", "me@example.com")
    assert (
        mail_["Subject"].strip().startswith("AgentTrace: Firing: errors: bot: 3 of 3 calls failed")
    )
    assert "/-/agenttrace/calls/" in mail_.get_content()


def test_a_hostile_subject_makes_no_header(fired, box):
    message = fired("mailto:me@example.com")
    hostile = message.body | {"message": "x\r\nBcc: other@example.com"}
    message = message.model_copy(update={"body": hostile})
    said = {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(box.port)}
    with pytest.raises(NotDelivered):
        mail.send("me@example.com", message, said)
    assert box.mails == []


def test_no_line_of_a_message_comes_from_outside(scene):
    """Subjects are agents and models, which anybody may name as they like."""
    scene.rule("error_rate", per="agent", min_calls=1)
    scene.calls(1, agent_id="x\r\nBcc: other@example.com", outcome="error")
    scene.check()
    assert "\n" not in scene.messages[0].body["message"]


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({}, "SMTP_HOST is not set"),
        ({"SMTP_HOST": "127.0.0.1", "SMTP_PORT": "many"}, "not a number"),
        ({"SMTP_HOST": "127.0.0.1", "SMTP_PORT": "1"}, "127.0.0.1"),
        ({"SMTP_HOST": "127.0.0.1", "SMTP_SECURE": "starttls"}, "does not offer STARTTLS"),
        ({"SMTP_HOST": "127.0.0.1", "SMTP_SECURE": "true"}, "127.0.0.1"),
    ],
)
def test_mail_that_cannot_be_sent_says_why(fired, box, said, problem):
    message = fired("mailto:me@example.com")
    port = said if not said or "SMTP_PORT" in said else said | {"SMTP_PORT": str(box.port)}
    with pytest.raises(NotDelivered, match=problem):
        mail.send("me@example.com", message, port, timeout_s=30)
    assert box.mails == []


def test_a_password_does_not_leave_this_machine_in_the_clear(fired, box, monkeypatch):
    monkeypatch.setattr(mail, "LOOPBACK", ())
    message = fired("mailto:me@example.com")
    said = {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(box.port), "SMTP_USER": "u"}
    with pytest.raises(NotDelivered, match="the password was not sent"):
        mail.send("me@example.com", message, said)


# ------------------------------------------------------------------ commands


def test_a_command_gets_the_message(fired, tmp_path):
    out = tmp_path / "out"
    script = f'{sys.executable} -c \'import sys, os; open(sys.argv[1], "w").write(sys.stdin.read() + os.environ["AGENTTRACE_ALERT_MESSAGE"])\' {out}'  # noqa: E501
    message = fired(f"command:{script}")
    command.send(target_of(message.target).where, message)
    assert out.read_text() == json.dumps(message.body) + message.body["message"]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("does-not-exist-at-all", "cannot be run"),
        ("'", "cannot be run"),
        ("sh -c 'echo told >&2; exit 3'", "exit code 3: told"),
        ("sh -c 'sleep 600 & sleep 600'", "did not end within 0.5 s"),
    ],
)
def test_a_command_that_fails_says_why(fired, words, problem):
    message = fired(f"command:{words}")
    with pytest.raises(NotDelivered, match=problem):
        command.send(words, message, timeout_s=0.5 if "0.5 s" in problem else 60)


# ------------------------------------------------------------------ crashes


def test_who_dies_with_a_lease_leaves_it_to_others(scene, fired, hook):
    message = fired(hook.address)
    time_ = Time(scene)
    assert scene.store.lease(time_.now(), time_.now() + LEASE_US).id == message.id
    assert drained(scene, time_).arrived == 0
    time_.us += LEASE_US
    assert drained(scene, time_).arrived == 1
    assert hook.ids == [message.id]


def test_two_at_once_send_each_message_once(scene, fired, hook):
    import threading

    from agenttrace_mitm.store.alerting import AlertStore

    fired(*(f"{hook.address}&n={n}" for n in range(12)))
    settings, at_us = Settings(home=scene.path.parent), scene.now_us

    def send_all():
        store = AlertStore(scene.path)
        drain(store, sender(settings), now=lambda: at_us)
        store.close()

    threads = [threading.Thread(target=send_all) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(hook.seen) == 12
    assert len(set(hook.ids)) == 12


ROUNDS = int(os.environ.get("AGENTTRACE_KILLS", "6"))
CHECKER = """
import sys
from pathlib import Path
from agenttrace_mitm.alerts import outbox
from agenttrace_mitm.alerts.checking import check
from agenttrace_mitm.settings import Settings
from agenttrace_mitm.store.alerting import AlertStore
outbox.LEASE_US = 1
home, start, step = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
store = AlertStore(home / "data.db")
print("ready", flush=True)
now = start
while True:
    now += step
    check(store, now, None, "")
    outbox.drain(store, outbox.sender(Settings(home=home)), now=lambda: now)
"""


@pytest.fixture(params=["webhook", "mail"])
def receiver(request, hook, box, monkeypatch):
    """A target, and the ids of what arrived there."""
    for name, value in {"HOST": "127.0.0.1", "PORT": str(box.port), "FROM": "a@b.example"}.items():
        monkeypatch.setenv(f"SMTP_{name}", value)
    if request.param == "webhook":
        return hook.address, lambda: hook.ids
    return "mailto:me@example.com", lambda: [
        mail_["Message-ID"].strip("<>").removesuffix("@agenttrace") for mail_ in box.mails
    ]


def test_killed_at_any_moment_no_transition_is_lost(scene, receiver):
    """A checker is killed again and again; each transition arrives, each id once after dropping.

    The rule's answer follows its clock, so the next process sees the same world a step later.
    `AGENTTRACE_KILLS=200` is the long form.
    """
    import random

    target, arrived = receiver
    draw = random.Random(5)
    scene.rule("sql", query="select 'x' as subject where (:now_us / 1000000) % 2", deliver=[target])
    start = scene.now_us
    rounds = 0
    while rounds < ROUNDS or (len(scene.messages) < 4 and rounds < 100):
        rounds += 1
        process = subprocess.Popen(
            [sys.executable, "-c", CHECKER, str(scene.path.parent), str(start), "1000000"],
            stdout=subprocess.PIPE,
            text=True,
        )
        process.stdout.readline()
        time.sleep(draw.uniform(0, 0.25))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        last = scene.db.execute("select max(checked_us) from alert_rules").fetchone()[0]
        start = max(start, last or 0)
    drain(scene.store, sender(Settings(home=scene.path.parent)), now=lambda: start + 10 * LEASE_US)
    wanted = {one.id: one.transition for one in scene.messages}
    assert all(one.delivered_us for one in scene.messages)
    assert set(arrived()) == set(wanted)
    # After dropping ids that were seen before: beginnings and ends in turn, none missing.
    first_seen = list(dict.fromkeys(arrived()))
    order = [wanted[id_] for id_ in first_seen]
    assert order == ["fired", "resolved"] * (len(order) // 2) + ["fired"] * (len(order) % 2)
    ended = Counter(one.resolved_us is None for one in scene.history)
    assert len(order) == 2 * ended[False] + ended[True]
    assert len(order) > 2


def test_two_checks_at_once_tell_everybody_once(scene, hook):
    """As processes of their own, begun together: cron, and somebody who types the same."""
    targets = [f"{hook.address}&n={n}" for n in range(12)]
    scene.rule("sql", query="select 'x' as subject", deliver=targets)
    environ = {**os.environ, "AGENTTRACE_HOME": str(scene.path.parent)}
    checks = [
        subprocess.Popen(
            [sys.executable, "-m", "agenttrace_mitm", "alerts", "check", "--json"],
            env=environ,
            stdout=subprocess.DEVNULL,
        )
        for _ in range(2)
    ]
    assert [one.wait() for one in checks] == [1, 1]
    assert len(scene.history) == 1
    assert len(hook.ids) == len(set(hook.ids)) == len(targets)
    assert {one.id for one in scene.messages if one.delivered_us} == set(hook.ids)
