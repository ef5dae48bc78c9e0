"""Patterns of the service model: Java's regular expressions, matched whole and in linear time."""

from clary.wire.pattern.matcher import Matcher, matcher

__all__ = ["Matcher", "matcher"]
