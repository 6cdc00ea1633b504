"""The workers of one master: how they find one another, and what they pass on to one another."""
