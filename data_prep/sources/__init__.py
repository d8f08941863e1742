"""Where raw logs come from. A source is a small class with one method, `load() -> Tables`."""
