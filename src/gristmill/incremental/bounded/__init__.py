"""Bounded mode: small changes wait, none is lost, and audits measure what that costs."""
