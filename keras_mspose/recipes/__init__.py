"""Runnable configurations: each file's first lines hold the exact commands."""
