"""Ways to other tools and back: what people are asked goes out, their answers come in. See `formats.BRIDGES`."""
