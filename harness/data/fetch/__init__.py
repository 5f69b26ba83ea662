"""Fetching data sets: sources in order, resumable downloads, safe unpacking, checksums, repair."""

from harness.data.fetch.complete import FetchReport
from harness.data.fetch.fetching import fetch

__all__ = ["FetchReport", "fetch"]
