"""The pages: a folder each, with `page.py` (`PAGE`, `view`, `act`, `follow`) and `page.html`."""
