"""Programs, the cache that finds them again, and their execution."""
