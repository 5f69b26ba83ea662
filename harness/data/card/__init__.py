"""The data card: what `harness data verify` found, as a page."""

from harness.data.card.page import write_card

__all__ = ["write_card"]
