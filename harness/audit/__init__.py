"""What published tables can and cannot be: counts, tests that they support, stated differences. No data, no torch."""

from harness.audit.audit import Audit, audit

__all__ = ["Audit", "audit"]
