"""Nearest neighbours of vectors, by FAISS."""
