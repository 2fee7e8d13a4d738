"""Input as it comes: other languages, no prose, short, long and hostile texts. Measured and reported."""
