"""The method itself, on arrays: numpy, torch and the standard library only."""
