"""The console in a real browser: Chromium, by mouse and by keyboard."""
