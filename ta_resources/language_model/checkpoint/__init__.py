"""What a model folder holds, and whether it is loaded cut, whole or not at all."""
