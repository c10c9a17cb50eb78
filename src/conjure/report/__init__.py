"""Results → terminal, Markdown, LaTeX, CSV, JSON and plots."""
