"""Long texts to passages that a model reads whole: where they may be cut, and where they are."""
