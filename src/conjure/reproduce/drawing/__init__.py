"""Pictures of what was measured, by matplotlib; they compute nothing."""
