"""The contracts between the parts: operator records, values and programs."""
