"""Seals: a Merkle tree over each scope, signed heads, witnesses, proofs, and who checks them."""
