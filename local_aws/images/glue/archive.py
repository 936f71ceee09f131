"""`python -m local_aws.images.glue.archive CLASS_LIST`: the class-data archive that Spark jobs start from.

Spark loads 17,000 classes; reading them from an archive instead of 250 jars halves the time of a small job.
Made once for an installation, in the background, at the lowest priority.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from local_aws.images.glue import jvm


def main(class_list: str) -> int:
    """Make the archive unless it exists; a jobs environment that cannot be written to goes without one."""
    os.nice(19)
    archive = jvm.archive_path()
    if archive.exists():
        return 0
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        for old in archive.parent.glob("spark-*.jsa"):
            old.unlink()
        with tempfile.TemporaryDirectory(dir=archive.parent) as scratch:
            made = Path(scratch) / archive.name
            subprocess.run(jvm.dump_command(Path(class_list), made), check=True)
            made.replace(archive)
    except OSError as error:
        print(f"no class-data archive for Spark, jobs start slower: {error}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
