"""Where, when and why two texts differ: each part of a distance with its true share of it."""
