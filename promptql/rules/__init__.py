"""The rules planner: a question becomes a plan without any model.

mentions and words → schema and value links → triggers → candidate plans by template → the best one.
"""
