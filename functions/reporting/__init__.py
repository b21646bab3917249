"""What is reported, to whom and in which words: shared by the workflows that notify."""
