"""How presets differ in what a server writes: diversity, surprise, length, loops, speed."""
