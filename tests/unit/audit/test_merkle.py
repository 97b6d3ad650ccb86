"""The tree against the vectors of Certificate Transparency, and every proof against its changes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdsno.audit.merkle import (
    EMPTY,
    Frontier,
    Growth,
    Hasher,
    consistency,
    inclusion,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# the reference tree of the certificate-transparency project, as RFC 6962 section 2.1.3 draws it
INPUTS = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
LEAVES = [leaf_hash(bytes.fromhex(one)) for one in INPUTS]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
_1 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
_23 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
_4567 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
_4 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
_5 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
_67 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
INCLUSIONS = {
    (0, 1): [],
    (0, 8): [_1, _23, _4567],
    (5, 8): [_4, _67, ROOTS[4]],
    (2, 3): [ROOTS[2]],
    (1, 5): [ROOTS[1], _23, _4],
}
CONSISTENCIES = {
    (1, 1): [],
    (1, 8): [_1, _23, _4567],
    (6, 8): [_5, _67, ROOTS[4]],
    (2, 5): [_23, _4],
}


def hashed(ranges, leaves):
    hasher = Hasher(ranges)
    for one in leaves:
        hasher.append(one)
    return hasher.hashes()


@pytest.mark.parametrize("size", range(9))
def test_the_root_is_the_published_one(size):
    assert root_of(LEAVES[:size]).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size"), INCLUSIONS)
def test_an_inclusion_proof_is_the_published_one(index, size):
    proof = hashed(inclusion(index, size), LEAVES)
    assert [one.hex() for one in proof] == INCLUSIONS[index, size]
    assert verify_inclusion(LEAVES[index], index, size, bytes.fromhex(ROOTS[size]), proof)


@pytest.mark.parametrize(("first", "second"), CONSISTENCIES)
def test_a_consistency_proof_is_the_published_one(first, second):
    proof = hashed(consistency(first, second), LEAVES)
    assert [one.hex() for one in proof] == CONSISTENCIES[first, second]
    roots = [bytes.fromhex(ROOTS[size]) for size in (first, second)]
    assert verify_consistency(first, second, *roots, proof)


def many(size, salt=b""):
    return [leaf_hash(salt + str(n).encode()) for n in range(size)]


sizes = st.integers(1, 140)


@given(size=sizes, data=st.data())
def test_every_inclusion_proof_verifies_and_no_altered_one_does(size, data):
    leaves, index = many(size), data.draw(st.integers(0, size - 1))
    root, proof = root_of(leaves), hashed(inclusion(index, size), leaves)
    assert verify_inclusion(leaves[index], index, size, root, proof)
    other = leaf_hash(b"other")
    assert not verify_inclusion(other, index, size, root, proof)
    assert not verify_inclusion(leaves[index], index, size, other, proof)
    assert not verify_inclusion(leaves[index], index, size, root, [*proof, other])
    for place in range(len(proof)):
        assert not verify_inclusion(
            leaves[index], index, size, root, proof[:place] + proof[place + 1 :]
        )
        assert not verify_inclusion(
            leaves[index], index, size, root, [*proof[:place], other, *proof[place + 1 :]]
        )
    elsewhere = data.draw(st.integers(-1, size).filter(lambda n: n != index))
    assert not verify_inclusion(leaves[index], elsewhere, size, root, proof)


@given(second=sizes, data=st.data())
def test_every_consistency_proof_verifies_and_no_altered_one_does(second, data):
    leaves, first = many(second), data.draw(st.integers(1, second))
    roots = root_of(leaves[:first]), root_of(leaves)
    proof = hashed(consistency(first, second), leaves)
    assert verify_consistency(first, second, *roots, proof)
    other = leaf_hash(b"other")
    assert not verify_consistency(first, second, other, roots[1], proof)
    assert not verify_consistency(first, second, roots[0], other, proof)
    assert not verify_consistency(first, second, *roots, [*proof, other])
    for place in range(len(proof)):
        assert not verify_consistency(
            first, second, *roots, [*proof[:place], other, *proof[place + 1 :]]
        )
        assert not verify_consistency(first, second, *roots, proof[:place] + proof[place + 1 :])


@given(first=sizes, more=st.integers(0, 70))
def test_a_history_that_was_changed_before_a_head_has_no_proof_that_it_grew_out_of_it(first, more):
    honest, bent = many(first + more), many(first + more, b"x")
    second = first + more
    proof = hashed(consistency(first, second), bent)
    assert not verify_consistency(first, second, root_of(honest[:first]), root_of(bent), proof)


@given(first=st.integers(0, 140), more=st.integers(0, 70))
@settings(deadline=None)
def test_a_frontier_and_the_leaves_since_give_the_same_proof_as_all_the_leaves(first, more):
    leaves = many(first + more)
    before = Frontier()
    for one in leaves[:first]:
        before.append(one)
    growth = Growth(before, first + more)
    for one in leaves[first:]:
        growth.append(one)
    after, proof = growth.tree, growth.proof()
    assert (before.size, before.root()) == (first, root_of(leaves[:first]))
    assert (after.size, after.root()) == (first + more, root_of(leaves))
    assert proof == hashed(consistency(first, first + more), leaves)
    assert verify_consistency(first, first + more, before.root(), after.root(), proof)
    assert len(after.nodes) == after.size.bit_count()


@given(size=sizes, data=st.data())
@settings(deadline=None)
def test_a_proof_is_the_same_from_any_frontier_before_the_leaf(size, data):
    leaves, index = many(size), data.draw(st.integers(0, size - 1))
    before = Frontier()
    for one in leaves[: data.draw(st.integers(0, index))]:
        before.append(one)
    hasher = Hasher(inclusion(index, size), before)
    for one in leaves[before.size :]:
        hasher.append(one)
    assert hasher.hashes() == hashed(inclusion(index, size), leaves)


def test_a_tree_grows_out_of_nothing_without_a_proof():
    assert consistency(0, 5) == []
    assert verify_consistency(0, 5, EMPTY, root_of(LEAVES[:5]), [])
    assert not verify_consistency(0, 5, LEAVES[0], root_of(LEAVES[:5]), [])


@pytest.mark.parametrize(("index", "size"), [(-1, 4), (4, 4), (0, 0)])
def test_there_is_no_proof_for_a_leaf_that_is_not_there(index, size):
    with pytest.raises(ValueError, match="no leaf"):
        inclusion(index, size)


def test_there_is_no_proof_that_a_tree_shrank():
    with pytest.raises(ValueError, match="has not grown"):
        consistency(5, 4)


def test_hashes_that_cannot_be_a_frontier_are_refused():
    with pytest.raises(ValueError, match="whole subtrees"):
        Frontier(3, [LEAVES[0]])
    with pytest.raises(ValueError, match="32 bytes"):
        Frontier(1, [b"short"])
    with pytest.raises(ValueError, match="whole subtrees"):
        Frontier(3, [LEAVES[0], LEAVES[1]]).range_hash((1, 3))
