"""Human-annotated sets, tables of pairs, and file formats."""
