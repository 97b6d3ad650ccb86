"""A report for an auditor: exceptions first, then every act of authority. No IO.

It knows no event by name but by what its declaration says: an act of authority is listed with who
signed it, who is named in it, and its reason; what was refused, denied, failed, revoked, blocked or
flagged is an exception. So events that come later are in it without a change here.
"""

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from streams.clock import to_wire
from streams.reader import Accepted, Rejected, Verdict

_EXCEPTIONAL = frozenset(
    [
        "alarm",
        "blocked",
        "degraded",
        "denied",
        "drifted",
        "expired",
        "failed",
        "flagged",
        "lapsed",
        "lost",
        "quarantined",
        "refused",
        "revoked",
        "silenced",
    ]
)
_PERSON = ("approver", "author", "by", "proposer", "operator", "person")
_WHY = ("reason", "why", "detail", "ticket")
_ABOUT = ("controller_id", "device_id", "change_id", "token_id", "temp_id", "blocked", "sealed")


@dataclass(slots=True)
class Report:
    """What happened in a span of time, as far as somebody has to answer for it."""

    since: datetime | None
    until: datetime | None
    exceptions: list[dict[str, Any]] = field(default_factory=list)
    acts: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    audit: dict[str, Any] = field(default_factory=dict)

    def take(self, verdict: Verdict) -> None:
        """Take an event into account when it lies in the span."""
        at = verdict.recorded.recorded_at
        if (self.since and at < self.since) or (self.until and at >= self.until):
            return
        match verdict:
            case Accepted():
                name = verdict.event.declared.name
                self.counts[name] = self.counts.get(name, 0) + 1
                if name.rpartition(".")[2] in _EXCEPTIONAL:
                    self.exceptions.append(_row(verdict))
                elif verdict.event.declared.authority and not name.startswith("seal."):
                    self.acts.append(_row(verdict))
            case Rejected():
                self.counts["(does not count)"] = self.counts.get("(does not count)", 0) + 1
                self.exceptions.append(_refused(verdict))
            case _:
                self.counts["(unverifiable)"] = self.counts.get("(unverifiable)", 0) + 1

    def json(self) -> dict[str, Any]:
        """Write it as one object."""
        return {
            "since": to_wire(self.since) if self.since else None,
            "until": to_wire(self.until) if self.until else None,
            **self.audit,
            "exceptions": self.exceptions,
            "acts": self.acts,
            "counts": dict(sorted(self.counts.items())),
        }


def _row(one: Accepted) -> dict[str, Any]:
    recorded, data = one.recorded, one.data
    return {
        "recorded_at": to_wire(recorded.recorded_at),
        "event": f"{recorded.scope}:{recorded.seq}",
        "type": one.event.declared.name,
        "signed_by": one.source,
        "person": _first(data, lambda name: name.rpartition("_")[2] in _PERSON),
        "about": _first(data, lambda name: name in _ABOUT),
        "reason": _first(data, lambda name: name in _WHY),
        "cause": one.cause,
        "story": one.correlation,
        "data": data,
    }


def _refused(one: Rejected) -> dict[str, Any]:
    recorded = one.recorded
    return {
        "recorded_at": to_wire(recorded.recorded_at),
        "event": f"{recorded.scope}:{recorded.seq}",
        "type": one.type or "(unreadable)",
        "signed_by": one.source,
        "person": None,
        "about": recorded.subject,
        "reason": f"{one.reason}: {one.detail}",
        "cause": None,
        "story": None,
        "data": None,
    }


def _first(data: Mapping[str, Any], fits: Any) -> str | None:
    found = [value for name, value in data.items() if fits(name) and value]
    return str(found[0]) if found else None


_STYLE = """
body{font:14px/1.5 system-ui,sans-serif;max-width:75em;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;width:100%;margin:.5em 0 2em}
td,th{border-bottom:1px solid #ddd;padding:.3em .6em;text-align:left;vertical-align:top}
th{background:#f4f4f4}.bad{color:#a00}.good{color:#060}code{white-space:nowrap}
"""
_COLUMNS = ("recorded_at", "event", "type", "signed_by", "person", "about", "reason")


def page(report: Mapping[str, Any]) -> str:
    """Write a report as one readable HTML page, without anything from elsewhere."""
    findings = report.get("findings", [])
    verdict = (
        f'<p class="bad">{len(findings)} findings: the log is not as it was signed.</p>'
        if findings
        else '<p class="good">The log is as it was sealed and witnessed.</p>'
    )
    span = f"{report['since'] or 'the beginning'} to {report['until'] or 'the end'}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>PDSNO audit</title>'
        f"<style>{_STYLE}</style></head><body><h1>Audit report</h1><p>{html.escape(span)}</p>"
        f"{verdict}"
        + _table("Findings", findings, ("kind", "place", "detail"))
        + _table("Exceptions", report["exceptions"], _COLUMNS)
        + _table("Acts of authority", report["acts"], _COLUMNS)
        + _table("Scopes", report.get("scopes", []), _SCOPE)
        + _table(
            "Events by type",
            [{"type": name, "count": count} for name, count in report["counts"].items()],
            ("type", "count"),
        )
        + "</body></html>\n"
    )


_SCOPE = ("scope", "events", "sealed", "seals", "witnesses", "verdict")


def _table(title: str, rows: Iterable[Mapping[str, Any]], columns: Iterable[str]) -> str:
    listed, names = list(rows), list(columns)
    if not listed:
        return f"<h2>{html.escape(title)}</h2><p>none</p>"
    head = "".join(f"<th>{html.escape(name.replace('_', ' '))}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(row.get(name))}</td>" for name in names) + "</tr>"
        for row in listed
    )
    return f"<h2>{html.escape(title)}</h2><table><tr>{head}</tr>{body}</table>"


def _cell(value: Any) -> str:
    return "" if value is None else html.escape(str(value))
