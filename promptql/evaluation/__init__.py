"""Measuring the planner on questions with known answers, and training its model on them."""
