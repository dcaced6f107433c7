"""The engine: records, traces and runs operations; see README.md in this folder."""
