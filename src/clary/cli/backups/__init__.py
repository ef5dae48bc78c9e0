"""Backups: one tar file with everything a Clary needs to stand up again elsewhere.

clary.json                       version, time, what there is
store.db                         every row, as one SQLite file, whatever the store is
keys/…                           key file, credentials, authority: the backup is as secret as they are
objects/<bucket>/<key>           every object, its content type and metadata beside it in the headers
notebooks/…                      volumes of notebook instances
sums.json                        SHA-256 of every member; last, so a cut file is seen

writing ─▶ archive ◀─ reading        a tar file, every byte of it summed
   └──────▶ stored ◀─────┘           the embedded object store
"""
