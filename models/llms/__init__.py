"""Language models, one provider a module; each is imported where it is chosen."""
