"""All that knows Amazon ECR: images, calls, error names."""
