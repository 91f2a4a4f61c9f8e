# Reads each archive named on the command line with tarfile: one JSON line each. The twin of read.go.
import hashlib
import json
import sys
import tarfile
from fractions import Fraction

MOST_BODY = 1 << 20

for path in sys.argv[1:]:
    try:
        entries = []
        with tarfile.open(path, encoding="utf-8", errors="strict") as archive:
            for member in archive:
                body = None
                if member.isreg() and member.size <= MOST_BODY:
                    body = hashlib.sha256(archive.extractfile(member).read()).hexdigest()
                entries.append(
                    {
                        "name": member.name,
                        "typeflag": member.type.decode("latin-1"),
                        "size": member.size,
                        "mode": member.mode,
                        "mtime": str(round(Fraction(member.mtime) * 10**9)),  # nanoseconds
                        "uid": member.uid,
                        "gid": member.gid,
                        "uname": member.uname,
                        "gname": member.gname,
                        "linkname": member.linkname,
                        "devmajor": member.devmajor,
                        "devminor": member.devminor,
                        "body": body,
                    }
                )
        print(json.dumps({"entries": entries}))
    except Exception as error:
        print(json.dumps({"error": str(error)}))
