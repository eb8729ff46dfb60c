"""Steps that ask a language model.

`running` starts them, `caller` makes the calls, `asking` asks about rows; the others say what is asked.
"""
