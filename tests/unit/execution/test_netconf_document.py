"""NETCONF payloads and configs: what is taken, one text for one config, and what differs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdsno.execution.drivers.netconf import NetconfDriver, document
from pdsno.execution.errors import PayloadError

DRIVER = NetconfDriver()
NS = "urn:example:system"


def config(text):
    return document.read(
        f'<config xmlns="{document.BASE}" xmlns:nc="{document.BASE}">{text}</config>'
    )


def system(body):
    return f'<system xmlns="{NS}">{body}</system>'


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "config: Field required"),
        ({"config": ""}, "config: "),
        ({"config": "words"}, "config: .*one element or more is wanted"),
        ({"config": "<system>"}, "config: .*not XML"),
        ({"config": "<system/>"}, "config: .*<system> has no namespace of a module"),
        ({"config": system('<a xmlns=""/>')}, "config: .*<a> has no namespace"),
        ({"config": "</config><config>"}, "config: .*not XML"),
        ({"config": '<!DOCTYPE a [<!ENTITY b "c">]>' + system("&b;")}, "config: .*not XML"),
        ({"config": system('<a nc:operation="erase"/>')}, "config: .*<a> has an unknown operation"),
        ({"config": system("<a/>"), "default_operation": "erase"}, "default_operation: "),
        ({"config": system("<a/>"), "target": "startup"}, "target: Extra inputs"),
        ({"config": system("x" * 200_000)}, "config: .*at most 200000"),
    ],
)
def test_what_is_not_taken_is_named(wrong, said):
    with pytest.raises(PayloadError, match=f"^{said}"):
        DRIVER.outline(wrong)


def test_a_document_type_is_never_followed():
    bomb = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'
    with pytest.raises(ValueError, match="document type"):
        document.read(bomb)


def test_the_outline_names_leaves_and_whatever_has_an_operation():
    text = system('<contact>x</contact><ntp nc:operation="delete"/><dns><server>a</server></dns>')
    assert DRIVER.outline({"config": text}).paths == (
        f"/{{{NS}}}system/contact",
        f"/{{{NS}}}system/ntp",
        f"/{{{NS}}}system/dns/server",
    )


@pytest.mark.parametrize(
    "same",
    [
        '<s:system xmlns:s="urn:example:system"><s:a>1</s:a></s:system><b xmlns="urn:b">2</b>',
        '<b xmlns="urn:b">2</b>' + system("\n   <a>1</a>\n"),
        system("<!-- said --><a>1</a><?pi?>")
        + '<b xmlns="urn:b">2</b><empty xmlns="urn:e">\n</empty>',
    ],
)
def test_the_same_config_is_the_same_text_however_a_device_writes_it(same):
    text = document.write(config(system("<a>1</a>") + '<b xmlns="urn:b">2</b>'))
    assert document.write(config(same)) == text


def test_the_prefix_of_an_identity_keeps_its_meaning():
    text = document.write(config(system('<type xmlns:i="urn:iana">i:ethernet</type>')))
    assert '<type xmlns:i="urn:iana">i:ethernet</type>' in text


def server(name, address):
    return f"<server><name>{name}</name><address>{address}</address></server>"


def differences(before, after):
    found = document.diff(config(system(before)), config(system(after)))
    prefix = f"/{{{NS}}}system"
    return {one.path.removeprefix(prefix): (one.before, one.after) for one in found}


def test_entries_of_a_list_are_compared_by_their_key():
    before = server("a", "1") + server("b", "2")
    after = server("b", "3") + server("a", "1") + server('c"]/x', "4")
    assert differences(before, after) == {
        '/server[name="b"]/address': ("2", "3"),
        '/server[name="c\\"]/x"]/name': (None, 'c"]/x'),
        '/server[name="c\\"]/x"]/address': (None, "4"),
    }
    assert document.entries_of(['/{urn:a/b}x/server[name="c\\"]/x"]/address']) == {
        "/{urn:a/b}x/server"
    }


def test_one_entry_beside_two_is_an_entry_too():
    found = differences(server("a", "1"), server("a", "1") + server("b", "2"))
    assert set(found) == {'/server[name="b"]/name', '/server[name="b"]/address'}


def test_values_of_a_leaf_list_are_compared_one_by_one():
    assert differences("<dns>1</dns><dns>2</dns>", "<dns>2</dns><dns>3</dns>") == {
        '/dns[.="1"]': ("1", None),
        '/dns[.="3"]': (None, "3"),
    }


@pytest.mark.parametrize(
    ("edit", "default", "expected"),
    [
        ("<a>2</a>", "merge", {"/a": ("1", "2")}),
        ("<a>1</a>", "merge", {}),
        ('<a nc:operation="delete"/>', "merge", {"/a": ("1", None)}),
        ('<b nc:operation="remove"/>', "none", {"/b/c": ("3", None), "/b/d": ("4", None)}),
        (
            '<b nc:operation="replace"><c>5</c></b>',
            "merge",
            {"/b/c": ("3", "5"), "/b/d": ("4", None)},
        ),
        ("<a>2</a>", "replace", {"/a": ("1", "2"), "/b/c": ("3", None), "/b/d": ("4", None)}),
    ],
)
def test_without_a_device_to_try_it_an_edit_is_estimated(edit, default, expected):
    before = config(system("<a>1</a><b><c>3</c><d>4</d></b>"))
    found = document.estimate(before, config(system(edit)), default)
    prefix = f"/{{{NS}}}system"
    assert {o.path.removeprefix(prefix): (o.before, o.after) for o in found} == expected


NAMES = st.sampled_from("abc")
TEXT = st.text(st.characters(codec="ascii", min_codepoint=32), max_size=5).map(
    lambda text: text.replace("&", "").replace("<", "").replace("\r", "").strip()
)
LEAF = st.builds(lambda name, text: f"<{name}>{text}</{name}>", NAMES, TEXT)
TREE = st.recursive(
    LEAF,
    lambda inner: st.builds(
        lambda name, children: f"<{name}>{''.join(children)}</{name}>",
        NAMES,
        st.lists(inner, min_size=1, max_size=4),
    ),
    max_leaves=8,
)
CONFIG = st.lists(TREE, max_size=4).map(lambda trees: config(system("".join(trees))))


@given(CONFIG)
def test_a_written_config_is_read_as_it_was(one):
    again = document.read(document.write(one))
    assert document.write(again) == document.write(one)
    assert document.diff(again, again) == ()


@given(CONFIG, CONFIG)
def test_configs_that_differ_in_text_differ_in_a_path_or_only_in_order(one, other):
    one, other = (document.read(document.write(x)) for x in (one, other))
    if document.diff(one, other):
        assert document.write(one) != document.write(other)
    for difference in document.diff(one, other):
        entries = document.entries_of([difference.path])
        assert difference.path in {
            *document.flat(one, entries | document.repeated(one) | document.repeated(other)),
            *document.flat(other, entries | document.repeated(one) | document.repeated(other)),
        }


def test_restoring_replaces_what_differs_and_nothing_else():
    before = config(system("<a>1</a>") + '<b xmlns="urn:b"><x/></b>')
    now = config(system("<a>2</a>") + '<b xmlns="urn:b"><x/></b><c xmlns="urn:c">3</c>')
    edit = document.restoring(before, now)
    assert [(one.tag, one.get(document.OPERATION)) for one in edit] == [
        (f"{{{NS}}}system", "replace"),
        ("{urn:c}c", "remove"),
    ]
    assert edit[0][0].text == "1"
