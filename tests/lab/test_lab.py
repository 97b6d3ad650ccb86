"""The lab itself: what it makes it removes, and what goes wrong it says."""

import socket
import subprocess
import sys
from pathlib import Path

import netns
import pytest
from daemon import PUBLIC, ask, eventually, snmpd
from netns import Namespace, namespace


def test_a_namespace_is_gone_after_a_failure(lab):
    made = None

    def fail():
        nonlocal made
        with namespace("gone") as made:
            assert made.name in netns.ip("netns", "list")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert made.name not in netns.ip("netns", "list")


def test_the_thread_is_at_home_again_after_a_failure_inside(lab):
    home = Path("/proc/self/ns/net").readlink()
    with namespace("inner") as inner:
        with inner.inside():
            assert Path("/proc/self/ns/net").readlink() != home
        with pytest.raises(ZeroDivisionError), inner.inside():
            raise ZeroDivisionError
        assert Path("/proc/self/ns/net").readlink() == home


def test_a_socket_made_inside_belongs_to_the_namespace(lab):
    with namespace("inner") as inner:
        with inner.inside():
            listener = socket.create_server(("127.0.0.1", 0))
        with listener, pytest.raises(ConnectionRefusedError):
            socket.create_connection(listener.getsockname(), timeout=1)


def test_what_a_dead_run_left_is_removed_and_a_living_run_is_not(lab):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(timeout=30)
    left = Namespace(f"pdsno-lab-{ended.pid}-left")
    netns.ip("netns", "add", left.name)
    with namespace("living") as living:
        assert left.name in netns.leftovers()
        netns.clean()
        names = netns.ip("netns", "list")
        assert left.name not in names
        assert living.name in names


def test_a_daemon_ends_with_its_namespace_and_touches_only_its_folder(lab, tmp_path):
    with namespace("one") as one:
        with snmpd(one, tmp_path / "agent", address="127.0.0.1", sys_name="one") as agent:
            assert agent.sys_name == "one"
            assert netns.ip("netns", "pids", one.name).split()
        assert netns.ip("netns", "pids", one.name).split() == []
        with pytest.raises(OSError, match=r"."):
            ask(one, "127.0.0.1", "1.3.6.1.2.1.1.5.0", PUBLIC)


def test_a_daemon_that_does_not_start_says_its_last_words(lab, tmp_path):
    with (
        namespace("two") as two,
        snmpd(two, tmp_path / "first", address="127.0.0.1", sys_name="a"),
        pytest.raises(RuntimeError, match=r"(?s)snmpd ended with 1: .*Error opening"),
        snmpd(two, tmp_path / "second", address="127.0.0.1", sys_name="b"),
    ):
        pass


def test_a_deadline_says_what_was_seen_instead():
    with pytest.raises(AssertionError, match=r"after 0.1 s: .FileNotFoundError.*/nothing"):
        eventually(Path("/nothing").stat, within_s=0.1)
    with pytest.raises(AssertionError, match=r"after 0.1 s: \[\]"):
        eventually(list, within_s=0.1)
    assert eventually(lambda: "there", within_s=0.1) == "there"


def test_without_its_programs_the_lab_is_skipped_on_a_laptop_and_fails_in_ci(tmp_path):
    for ci, words in (("false", "1 skipped"), ("true", "1 error")):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"{__file__}::{BARE}"],
            env={"PATH": str(tmp_path), "CI": ci, "PYTHONPATH": str(Path.cwd())},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert words in done.stdout, done.stdout + done.stderr
        assert "the lab needs" in done.stdout


BARE = "test_a_namespace_is_gone_after_a_failure"
