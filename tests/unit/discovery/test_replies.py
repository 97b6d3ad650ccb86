"""What comes off the wire: crafted, cut short, and random."""

from ipaddress import IPv4Address
from struct import pack

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Ether

from pdsno.discovery.frame import ArpFrame, IpFrame, arp_reply, fold
from pdsno.discovery.icmp import echo_reply
from pdsno.discovery.knock import Answer, messages, read_answer
from pdsno.discovery.link import Link
from pdsno.discovery.plan import SnmpCredential
from pdsno.discovery.prefix import Targets

OURS, THEIRS = "02:00:00:00:00:01", "00:00:0c:aa:bb:cc"
HOST = int(IPv4Address("192.0.2.77"))
LINK = Link("eth0", bytes.fromhex("020000000001"), int(IPv4Address("192.0.2.1")), Targets())

ARP_REPLY = bytes(
    Ether(dst=OURS, src=THEIRS)
    / ARP(op="is-at", hwsrc=THEIRS, psrc="192.0.2.77", hwdst=OURS, pdst="192.0.2.1")
)
ECHO_REPLY = bytes(
    IP(src="192.0.2.77", dst="192.0.2.1") / ICMP(type="echo-reply", id=7, seq=65535) / b"payload"
)
V2_REPLY = bytes.fromhex(
    "302c02010104067075626c6963a21f0204504453010201000201003011300f06082b060102010103004303030000"
)
V3_REPORT = bytes.fromhex(
    "306e020103300f02027d5f020300ffe304010002010304223020041180001f8880719ac50c8097046b00000000"
    "0201010202030d0400040004003034041180001f8880719ac50c8097046b000000000400a81d02027d5f020100"
    "02010030"
    "11300f060a2b060106030f01010400410109"
)


def test_an_arp_reply_says_who_is_where():
    assert arp_reply(ARP_REPLY) == (HOST, bytes.fromhex("00000caabbcc"))


def test_padding_behind_an_arp_reply_is_ignored():
    assert arp_reply(ARP_REPLY + bytes(18)) is not None


@pytest.mark.parametrize(
    "frame",
    [
        bytes(Ether(dst=OURS, src=THEIRS) / ARP(op="who-has", psrc="192.0.2.77")),
        ARP_REPLY[:41],
        ARP_REPLY[:12] + b"\x08\x00" + ARP_REPLY[14:],
        ARP_REPLY[:22] + b"\xff" * 6 + ARP_REPLY[28:],
        ARP_REPLY[:22] + bytes(6) + ARP_REPLY[28:],
        b"",
    ],
    ids=["a request", "cut short", "another protocol", "a group's MAC", "no MAC", "empty"],
)
def test_what_is_not_an_arp_reply_says_nothing(frame):
    assert arp_reply(frame) is None


def test_an_echo_reply_is_known_by_identifier_and_sequence():
    assert echo_reply(ECHO_REPLY, ip_header=True) == (7, 65535)
    assert echo_reply(ECHO_REPLY[20:], ip_header=False) == (7, 65535)


def test_an_echo_reply_behind_ip_options_is_found():
    with_options = bytes([0x46]) + ECHO_REPLY[1:20] + b"\x01" * 4 + ECHO_REPLY[20:]
    assert echo_reply(with_options, ip_header=True) == (7, 65535)


@pytest.mark.parametrize(
    "packet",
    [
        bytes(IP() / ICMP(type="echo-request", id=7, seq=1)),
        bytes(IP() / ICMP(type="dest-unreach")),
        ECHO_REPLY[:27],
        bytes([0x41]) + ECHO_REPLY[1:],
    ],
    ids=["a request", "an error", "cut short", "a header length too small"],
)
def test_what_is_not_an_echo_reply_says_nothing(packet):
    assert echo_reply(packet, ip_header=True) is None


def test_a_version_2c_reply_names_its_community():
    assert read_answer(V2_REPLY) == Answer("2c", community=b"public")


def test_a_version_3_report_names_its_engine():
    engine = bytes.fromhex("80001f8880719ac50c8097046b00000000")
    assert read_answer(V3_REPORT) == Answer("3", engine_id=engine)


@pytest.mark.parametrize("message", [V2_REPLY, V3_REPORT], ids=["2c", "3"])
def test_a_reply_cut_anywhere_is_not_snmp(message):
    assert [n for n in range(len(message)) if read_answer(message[:n]) is not None] == []


@given(st.binary(max_size=200))
@example(b"\x30\x80\x02\x01\x01")
@example(b"\x30\x84\xff\xff\xff\xff\x02\x01\x01")
def test_no_parser_raises_on_random_bytes(data):
    arp_reply(data)
    echo_reply(data, ip_header=True)
    echo_reply(data, ip_header=False)
    read_answer(data)


@given(st.sampled_from([V2_REPLY, V3_REPORT]), st.data())
def test_no_parser_raises_on_a_damaged_reply(message, data):
    at = data.draw(st.integers(0, len(message) - 1))
    read_answer(message[:at] + bytes([data.draw(st.integers(0, 255))]) + message[at + 1 :])


def test_the_arp_request_is_what_scapy_would_send():
    frame = Ether(ArpFrame(LINK).to(HOST))
    assert (frame.dst, frame.src) == ("ff:ff:ff:ff:ff:ff", OURS)
    assert (frame[ARP].op, frame[ARP].psrc, frame[ARP].pdst) == (1, "192.0.2.1", "192.0.2.77")


@given(st.integers(1, 2**32 - 1))
def test_the_ip_header_of_a_frame_sums_to_what_scapy_computes(address):
    payload = pack("!4H", 5000, 161, 12, 0) + b"snmp"
    frame = IpFrame(LINK, 17, len(payload)).to(address, bytes.fromhex("00000caabbcc"), payload)
    packet = Ether(frame)
    again = packet[IP].copy()
    del again.chksum
    assert bytes(again)[10:12] == packet[IP].chksum.to_bytes(2, "big")
    assert (packet.dst, packet[IP].dst) == (THEIRS, str(IPv4Address(address)))
    assert (packet[UDP].dport, bytes(packet[UDP].payload)) == (161, b"snmp")


@given(st.lists(st.integers(0, 0xFFFF), max_size=40))
def test_a_folded_checksum_makes_the_words_sum_to_zero(words):
    assert fold(sum(words) + fold(sum(words))) == 0


def test_a_message_is_made_once_per_community_and_once_for_version_3():
    credentials = [
        SnmpCredential("a", "2c", community="public"),
        SnmpCredential("b", "2c", community="public"),
        SnmpCredential("c", "2c", community="other"),
        SnmpCredential("d", "3", user="alice"),
        SnmpCredential("e", "3", user="bob"),
    ]
    made = messages(credentials)
    assert [read_answer(message) for message in made] == [
        Answer("2c", community=b"public"),
        Answer("2c", community=b"other"),
        Answer("3", engine_id=b""),
    ]
