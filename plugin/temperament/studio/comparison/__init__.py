"""How presets differ in the texts that a server generates: diversity, length, loops, speed."""
