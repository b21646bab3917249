"""What the tests share: builders, fakes, the template, the definition, the in-process engine."""
