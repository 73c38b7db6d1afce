"""`mspose app`: a page on this machine that shows what a network sees in a photograph."""
