//! Python literals, read with Python's own grammar.
