"""The report's tables as data, and as CSV, Markdown, LaTeX and JSON."""
