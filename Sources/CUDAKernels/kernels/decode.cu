// Decode attention.
