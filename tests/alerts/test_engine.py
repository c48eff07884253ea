"""State: one firing per episode and subject, told once, repeated, silenced, acknowledged."""

import threading

import pytest

from agenttrace_mitm.alerts.checking import check
from agenttrace_mitm.alerts.moments import HOUR_US, MINUTE_US
from agenttrace_mitm.errors import StoreError
from agenttrace_mitm.store.alerting import AlertStore


@pytest.fixture
def failing(scene):
    """A rule that fires when `self.bad` is so."""

    def switch(on):
        scene.db.execute("delete from llm_calls")
        scene.calls(5, outcome="error" if on else "ok")
        if on is None:
            scene.db.execute("delete from llm_calls")

    scene.switch = switch
    scene.rule("error_rate", name="errors", min_calls=1, window_minutes=10_000)
    return scene


def test_an_episode_is_told_once_and_its_end_once(failing):
    failing.switch(True)
    for _ in range(3):
        assert failing.firing(1) == ["all"]
    assert failing.told == ["fired"]
    failing.switch(False)
    for _ in range(3):
        assert failing.firing(1) == []
    assert failing.told == ["fired", "resolved"]
    assert len(failing.history) == 1


def test_a_second_episode_is_another_firing(failing):
    for on in (True, False, True):
        failing.switch(on)
        failing.check(1)
    assert failing.told == ["fired", "resolved", "fired"]
    assert len({one.id for one in failing.history}) == 2


def test_it_is_repeated_only_where_asked(failing):
    rule = failing.store.rule("errors")
    failing.store.put_rule(rule.model_copy(update={"repeat_minutes": 30}))
    failing.switch(True)
    failing.check()
    for _ in range(6):
        failing.check(10)
    assert failing.told == ["fired", "repeated", "repeated"]


def test_an_acknowledged_firing_is_not_repeated_and_still_ends(failing):
    rule = failing.store.rule("errors")
    failing.store.put_rule(rule.model_copy(update={"repeat_minutes": 1}))
    failing.switch(True)
    failing.check()
    failing.store.acknowledge(failing.history[0].id, failing.now_us)
    failing.check(60)
    failing.switch(False)
    failing.check()
    assert failing.told == ["fired", "resolved"]


def test_silence_keeps_quiet_and_what_still_holds_is_told_after(failing):
    rule = failing.store.rule("errors")
    silent = rule.model_copy(update={"silenced_until_us": failing.now_us + HOUR_US})
    failing.store.put_rule(silent)
    failing.switch(True)
    failing.check(1)
    failing.switch(False)
    failing.check(1)
    failing.switch(True)
    failing.check(1)
    assert failing.told == []
    assert len(failing.history) == 2
    failing.check(60)
    assert failing.told == ["fired"]
    failing.switch(False)
    failing.check(1)
    assert failing.told == ["fired", "resolved"]


def test_what_gets_worse_in_silence_is_told_after(scene):
    rule = scene.rule("budget", limit_usd=10)
    scene.calls(cost_nano_usd=9 * 10**9)
    scene.check()
    scene.store.put_rule(rule.model_copy(update={"silenced_until_us": scene.now_us + HOUR_US}))
    scene.calls(cost_nano_usd=9 * 10**9)
    scene.check(1)
    assert scene.told == ["fired"]
    scene.check(60)
    scene.check(1)
    assert scene.told == ["fired", "fired"]
    assert scene.messages[-1].body["severity"] == "critical"


def test_a_rule_that_cannot_be_judged_has_not_recovered(failing):
    failing.switch(True)
    failing.check()
    rule = failing.store.rule("errors")
    failing.store.put_rule(rule.model_copy(update={"params": {"window_minutes": "x"}}))
    report = check(failing.store, failing.now_us + 1, None, "")
    assert report.exit_code == 2
    assert [one.resolved_us for one in failing.history] == [None]


def test_a_row_that_a_rule_cannot_read_is_that_rules_problem(failing, monkeypatch):
    from agenttrace_mitm.alerts import findings

    failing.rule("no_traffic")
    kind = findings.BY_NAME["no_traffic"]
    broken = type(kind)(**{n: getattr(kind, n) for n in kind.__slots__} | {"judge": _torn})
    monkeypatch.setitem(findings.BY_NAME, "no_traffic", broken)
    failing.switch(True)
    report = check(failing.store, failing.now_us, None, "")
    assert [bool(one.problem) for one in report.rules] == [False, True]
    assert report.rules[0].firing


def _torn(row, params, at):
    raise KeyError("nothing")


def test_a_removed_rule_ends_what_it_fired(failing):
    failing.switch(True)
    failing.check()
    failing.store.remove_rule(failing.store.rule("errors"), failing.now_us)
    assert failing.check().rules == ()
    assert failing.history[0].resolution == "the rule was removed"


def test_an_older_check_does_not_undo_a_later_one(failing):
    """Two checks at once: the slow one's news are old when it writes."""
    failing.switch(True)
    failing.check()
    rule = failing.store.rule("errors")
    old_us = failing.now_us - MINUTE_US
    failing.db.execute("delete from llm_calls")
    check(failing.store, old_us, None, "", [rule])
    assert [one.resolved_us for one in failing.history] == [None]


def test_checks_at_once_make_one_firing(failing):
    failing.switch(True)
    store_path, now_us = failing.path, failing.now_us
    begin = threading.Barrier(4)

    def one_check():
        store = AlertStore(store_path)
        begin.wait()
        check(store, now_us, None, "")
        store.close()

    threads = [threading.Thread(target=one_check) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failing.told == ["fired"]
    assert len(failing.history) == 1


def test_a_crash_between_judging_and_writing_leaves_nothing_half_done(failing, monkeypatch):
    from agenttrace_mitm.store import alerting

    failing.switch(True)
    written, put = [], alerting._put

    def crash(db, value):
        written.append(value)
        if len(written) == 2:
            raise KeyboardInterrupt
        put(db, value)

    monkeypatch.setattr(alerting, "_put", crash)
    with pytest.raises(KeyboardInterrupt):
        failing.check()
    monkeypatch.setattr(alerting, "_put", put)
    assert failing.history == []
    assert failing.firing(1) == ["all"]
    assert failing.told == ["fired"]


def test_names_are_unique_and_unknown_ones_are_said(scene):
    scene.rule("loop", name="one")
    with pytest.raises(StoreError, match="already"):
        scene.rule("loop", name="one")
    with pytest.raises(StoreError, match="no rule"):
        scene.store.rule("two")
    with pytest.raises(StoreError, match="no firing"):
        scene.store.acknowledge("x", 1)
