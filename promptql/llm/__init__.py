"""What a language model does here: it writes plans and prose, and both are checked before anything rests on them."""
