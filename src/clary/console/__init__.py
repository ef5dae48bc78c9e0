"""The console: pages in a browser, a client of the public API like any other.

request ─▶ app: session, page by path ─▶ pages/<name>/page.py ─▶ api ─▶ the operations that boto3 calls
                                               └─▶ page.html, and again while it is open (live.py)
"""
