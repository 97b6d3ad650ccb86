"""Tiers of sensitivity (DOMAIN.md 4): unknown means HIGH."""

from collections.abc import Iterable

from streams.catalogue.change import Tier

TIERS: tuple[Tier, ...] = ("LOW", "MEDIUM", "HIGH")


def rank(tier: Tier) -> int:
    """Give the place of a tier: 0 for LOW."""
    return TIERS.index(tier)


def strictest(tiers: Iterable[Tier]) -> Tier:
    """Choose the highest of some tiers; LOW of none."""
    return max(tiers, key=rank, default="LOW")


def raised(tier: Tier) -> Tier:
    """Give the next tier, where there is one."""
    return TIERS[min(rank(tier) + 1, len(TIERS) - 1)]
