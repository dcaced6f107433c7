"""The transforms as objects, by what they change."""
