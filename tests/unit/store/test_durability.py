"""Kill a writer at any moment: nothing that it was told is stored may be missing."""

import random
import signal
import subprocess
import sys
import time

from clary.store import listing, records
from clary.store.database import Store
from clary.store.listing import Condition
from clary.testing.store_laws.samples import HERE, keys_of, make_query

WRITER = """
import sys, threading
from clary.store import records
from clary.store.database import Store
from clary.testing.store_laws.samples import make_record

store = Store.open(sys.argv[1])

def write(thread):
    for i in range(10**6):
        name = f"{sys.argv[2]}-{thread}-{i}"
        store.write(records.insert, make_record(name, {"Name": name}))
        sys.stdout.write(name + "\\n")  # one call, so that lines stay whole

threads = [threading.Thread(target=write, args=(i,), daemon=True) for i in range(4)]
print("ready", flush=True)
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_no_acknowledged_write_is_lost_by_kill(path):
    url = f"sqlite:///{path}"
    acknowledged = set()
    for turn in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-u", "-c", WRITER, url, str(turn)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(random.uniform(0.05, 0.3))
        writer.send_signal(signal.SIGKILL)
        lines = writer.stdout.read().split("\n")
        writer.stdout.close()
        writer.wait()
        acknowledged.update(lines[:-1])  # the last one may be half a line
    assert len(acknowledged) > 10
    with Store.open(url) as store:
        stored = set(keys_of(store, make_query(limit=1000)))
        assert acknowledged <= stored
        for name in random.sample(sorted(acknowledged), 5):
            record = store.read(records.find, *HERE, "Job", name)
            assert record is not None
            assert record.document == {"Name": name}
            found = store.read(listing.page, make_query(Condition("key", "contains", name)))
            assert name in [each.key for each in found.records]
        assert store.read(lambda conn: conn.exec_driver_sql("PRAGMA integrity_check").scalar()) == "ok"
