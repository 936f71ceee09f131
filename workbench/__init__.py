"""What a developer's terminal runs: environments, the local stack, the demo and the tests."""
