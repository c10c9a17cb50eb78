"""Human-annotated similarity sets, and how well distances agree with them."""
