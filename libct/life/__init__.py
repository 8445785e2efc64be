"""What becomes of a container, from its making to its end."""
