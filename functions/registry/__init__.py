"""Everything that depends on Amazon ECR: images, calls, error names."""
