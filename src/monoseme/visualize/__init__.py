"""Pictures of neurons and concepts."""
