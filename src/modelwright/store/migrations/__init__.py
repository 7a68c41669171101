"""The schema's history, a numbered file for each step."""
