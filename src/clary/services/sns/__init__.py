"""Notifications: topics, their subscribers, and what is published to them."""
