"""How far distributions have moved: distances, their floors, and what moved together."""
