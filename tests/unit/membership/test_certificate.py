"""A chain of records proves an identity to whoever pins the root, and to nobody by less."""

from dataclasses import replace

import pytest
from chain import GC, LC, OTHER_ROOT, RC, ROOT, Issued

from pdsno.membership.certificate import kept, read_record, verify_chain, write_chain, write_record
from streams.catalogue.controller import ControllerRevoked


@pytest.fixture
def issued():
    return Issued()


def lines(issued):
    return [write_record(one) for one in issued.records]


def test_a_record_is_read_as_it_was_written(issued):
    assert [read_record(line) for line in lines(issued)] == issued.records


def test_a_chain_proves_an_identity_with_nothing_but_the_root(issued):
    proven = verify_chain(lines(issued), [ROOT.public_key()], LC)
    assert (proven.controller_id, proven.issuer) == (LC, RC)
    assert proven.public_key == issued.key(LC).public_key()
    assert proven.issuer_public_keys == (issued.key(RC).public_key(),)


def test_the_global_controller_issues_in_the_name_of_the_root(issued):
    proven = verify_chain(lines(issued)[:1], [ROOT.public_key()], RC)
    assert (proven.issuer, proven.issuer_public_keys) == (GC, (ROOT.public_key(),))


def test_a_chain_proves_nothing_under_another_root(issued):
    with pytest.raises(ValueError, match="does not count"):
        verify_chain(lines(issued), [OTHER_ROOT.public_key()], LC)


def test_a_chain_without_its_issuer_or_without_its_end_proves_nothing(issued):
    rc, lc = lines(issued)
    for chain in ([lc], [lc, rc], []):
        with pytest.raises(ValueError, match=r"does not count|says nothing"):
            verify_chain(chain, [ROOT.public_key()], LC)
    with pytest.raises(ValueError, match="says nothing of"):
        verify_chain([rc], [ROOT.public_key()], LC)


def test_a_revoked_identity_is_none(issued):
    issued.say(GC, ControllerRevoked(controller_id=LC, reason="stolen"))
    with pytest.raises(ValueError, match="was revoked"):
        verify_chain(lines(issued), [ROOT.public_key()], LC)


def test_an_altered_record_does_not_count(issued):
    record = issued.records[1]
    for change in (
        {"raw": record.raw.replace(b'"role":"local"', b'"role":"lokal"')},
        {"subject": "pdsno.zone-a.controller.local-zone-a-2"},
    ):
        altered = [lines(issued)[0], write_record(replace(record, **change))]
        with pytest.raises(ValueError, match="does not count"):
            verify_chain(altered, [ROOT.public_key()], LC)


@pytest.mark.parametrize("line", ["", "{}", "[]", '{"scope": 1}', "not json"])
def test_what_is_no_record_is_told_apart(line):
    with pytest.raises(ValueError, match=r"."):
        read_record(line)


def test_a_home_keeps_each_record_once_in_its_order(issued, tmp_path):
    class Folder:
        def members(self):
            return [RC, LC]

        def chain(self, name):
            return tmp_path / f"{name}.chain"

    write_chain(tmp_path / f"{RC}.chain", lines(issued)[:1])
    write_chain(tmp_path / f"{LC}.chain", lines(issued))
    assert kept(Folder()) == issued.records
