"""What a potential has to pass before it is used: one gate a file, a calculator in, a `GateResult` out."""
