"""The decider of executions: whatever fails, whoever dies when, all devices end the same way."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pdsno.execution.deciders.execution import (
    Advance,
    Execution,
    Fail,
    Finish,
    Hold,
    Keep,
    Order,
    Over,
    Undo,
    Wait,
    decide,
    evolve,
)
from streams.catalogue.execution import (
    ExecutionApplying,
    ExecutionConfigRead,
    ExecutionConfirming,
    ExecutionFailed,
    ExecutionFinished,
    ExecutionHeld,
    ExecutionReverted,
    ExecutionReverting,
    ExecutionStarted,
    ExecutionVerified,
)

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
ABOUT = {"controller_id": "local.zone-a.1", "change_id": "c1"}
HASH = "a" * 64
UNTIL = NOON + timedelta(seconds=900)


def started(*devices, attempt=1):
    return ExecutionStarted(**ABOUT, token_id="t1", devices=list(devices), attempt=attempt)


def read(device, phase="before"):
    return ExecutionConfigRead(**ABOUT, device_id=device, phase=phase, running_hash=HASH)


def applying(device):
    return ExecutionApplying(**ABOUT, device_id=device, payload_hash=HASH, persist_id="p1")


def verified(device, matched=True):  # noqa: FBT002  # as the field is called
    return ExecutionVerified(**ABOUT, device_id=device, matched=matched, detail="")


def confirming(device):
    return ExecutionConfirming(**ABOUT, device_id=device)


def reverting(device):
    return ExecutionReverting(**ABOUT, device_id=device)


def reverted(device, good=True):  # noqa: FBT002  # one way or the other
    return ExecutionReverted(**ABOUT, device_id=device, verified=good, detail="")


def failed(reason="READ_BACK_DIFFERS", device=None):
    return ExecutionFailed(**ABOUT, device_id=device, reason=reason, detail="")


def finished(outcome, degraded=()):
    return ExecutionFinished(**ABOUT, outcome=outcome, degraded=list(degraded), detail="")


def held():
    return ExecutionHeld(**ABOUT, undone_at=UNTIL)


def after(*events):
    state = Execution()
    for seq, event in enumerate(events, start=1):
        state = evolve(state, event, seq)
    return state


def step(*events, at=NOON, kept=(), **order):
    given = Order(**({"hold": False, "finish_by": UNTIL} | order))
    return decide(after(*events), given, frozenset(kept), at)


DONE = (read("d1"), applying("d1"), read("d1", "after"), verified("d1"))


def test_what_is_not_begun_is_brought_forward():
    assert step(started("d1", "d2")) == Advance(("d1", "d2"))
    assert step(started("d1", "d2"), *DONE) == Advance(("d2",))


def test_what_was_cut_off_while_it_was_applied_is_looked_at_again():
    assert step(started("d1"), read("d1"), applying("d1")) == Advance(("d1",))


def test_all_verified_is_kept_and_then_finished():
    assert step(started("d1"), *DONE) == Keep(("d1",))
    assert step(started("d1"), *DONE, confirming("d1"), kept=["d1"]) == Finish("executed")


def test_who_comes_after_a_crash_confirms_again():
    assert step(started("d1"), *DONE, confirming("d1"), started("d1", attempt=2)) == Keep(("d1",))


def test_what_did_not_match_before_a_crash_fails():
    assert isinstance(step(started("d1"), applying("d1"), verified("d1", matched=False)), Fail)


def test_a_failure_takes_back_what_was_touched_and_nothing_else():
    said = (started("d1", "d2", "d3"), *DONE, read("d2"), failed(device="d2"))
    assert step(*said) == Undo(("d1",))
    assert step(*said, reverting("d1"), reverted("d1")) == Finish("rolled_back")
    assert step(*said, reverting("d1"), reverted("d1", good=False)) == Finish("degraded", ("d1",))


def test_what_is_to_be_held_waits_for_a_word_and_no_longer_than_its_time():
    assert step(started("d1"), *DONE, hold=True) == Hold(UNTIL)
    assert step(started("d1"), *DONE, held(), hold=True) == Wait(UNTIL)
    assert step(started("d1"), *DONE, held(), hold=True, confirmed=True) == Keep(("d1",))
    late = step(started("d1"), *DONE, held(), hold=True, at=UNTIL)
    assert isinstance(late, Fail)
    assert late.reason == "NOT_CONFIRMED"


def test_a_recall_undoes_whatever_it_meets():
    for said in [(started("d1"),), (started("d1"), *DONE), (started("d1"), *DONE, held())]:
        found = step(*said, hold=True, recalled="PART_FAILED")
        assert isinstance(found, Fail)
        assert found.reason == "RECALLED"


def test_what_was_executed_is_over_unless_it_is_called_back():
    said = (started("d1"), *DONE, confirming("d1"), finished("executed"))
    assert step(*said) == Over()
    assert isinstance(step(*said, recalled="PART_FAILED"), Fail)
    assert step(*said, failed("RECALLED"), recalled="PART_FAILED") == Undo(("d1",))


def test_what_was_rolled_back_is_over_whatever_is_said_above():
    said = (started("d1"), *DONE, failed(), reverted("d1"), finished("rolled_back"))
    assert step(*said, recalled="PART_FAILED") == Over()


def test_no_device_is_begun_when_the_time_is_over():
    found = step(started("d1"), at=UNTIL)
    assert isinstance(found, Fail)
    assert found.reason == "OUT_OF_TIME"


def test_events_before_the_start_and_of_strangers_change_nothing():
    assert after(applying("d1"), failed()) == Execution()
    assert after(started("d1"), applying("d9")) == after(started("d1"))


class Run:
    """An execution that goes as chance wants: steps fail, and executors die, a few times each."""

    devices = ("d1", "d2", "d3")

    def __init__(self, data):
        self._data, self._crashes, self._at = data, data.draw(st.integers(0, 3)), NOON
        flags = data.draw(st.tuples(st.booleans(), st.booleans()))
        self._order = Order(hold=flags[0], finish_by=UNTIL, confirmed=flags[1])
        self.state, self.said, self._kept = after(started(*self.devices)), [], set()

    def say(self, *events):
        for event in events:
            self.state = evolve(self.state, event, 1)
            self.said.append(event)

    def to_its_end(self):
        for attempt in range(2, 60):
            if isinstance(now := self._next(), Over):
                return
            if isinstance(now, Advance | Keep | Undo):
                self._on_each(now, attempt)
            else:
                self._do(now)
        raise AssertionError(f"it does not end: {self.said}")

    def _next(self):
        return decide(self.state, self._order, frozenset(self._kept), self._at)

    def _do(self, now):
        match now:
            case Hold(until):
                self.say(ExecutionHeld(**ABOUT, undone_at=until))
            case Wait(until):
                self._at = until
            case Fail(reason, _, device):
                self.say(failed(reason, device))
            case Finish(outcome, degraded):
                self.say(finished(outcome, degraded))

    def _on_each(self, now, attempt):
        """Take a step on one device after the other, as far as chance lets us."""
        for name in now.devices:
            events = _events(now, name, good=self._data.draw(st.integers(0, 3)) > 0)
            if self._crashes and self._data.draw(st.booleans()):
                self._crashes -= 1
                self._kept.clear()
                cut = self._data.draw(st.integers(0, len(events)))
                self.say(*events[:cut], started(*self.devices, attempt=attempt))
                return
            self.say(*events)
            if events[-1].declared.name == "execution.failed":
                return
            if isinstance(now, Keep):
                self._kept.add(name)


def _events(now, name, *, good):
    match now:
        case Advance():
            events = [read(name), applying(name), read(name, "after"), verified(name, good)]
            return events if good else [*events, failed(device=name)]
        case Keep():
            return [confirming(name)] + ([] if good else [failed("CONFIRM_FAILED", name)])
        case Undo():
            return [reverting(name), reverted(name, good)]


@given(st.data())
def test_any_run_with_any_failures_and_crashes_ends_and_every_device_the_same_way(data):
    run = Run(data)
    run.to_its_end()
    (end,) = [one for one in run.said if isinstance(one, ExecutionFinished)]
    stages = {name: run.state.of(name).stage for name in run.devices}
    lost = sorted(name for name, stage in stages.items() if stage == "lost")
    touched = [name for name in run.devices if run.state.of(name).touched]
    if end.outcome == "executed":
        assert set(stages.values()) == {"confirming"}
        assert run.state.failed is None
    else:
        assert (touched, sorted(end.degraded)) == ([], lost)
        assert (end.outcome == "degraded") == bool(lost)
