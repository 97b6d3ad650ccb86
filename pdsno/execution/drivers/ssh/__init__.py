"""Command lines over SSH: a platform is a file of words and patterns, not code."""

from pdsno.execution.drivers.ssh.driver import SshDriver, SshParameters

__all__ = ["SshDriver", "SshParameters"]
