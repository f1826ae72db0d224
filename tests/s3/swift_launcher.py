"""OpenStack Swift with its S3 interface in one process; run by the Python that has swift.

Usage: swift_launcher.py FOLDER PORT ACCOUNT USER KEY. One device, one replica, loopback only.
"""

import os
import sys
from pathlib import Path

import eventlet

eventlet.monkey_patch()

import eventlet.wsgi  # noqa: E402  after the patch, as Swift's own servers do it
from swift.common import utils  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402

PROXY = """
[DEFAULT]
swift_dir = {folder}
[pipeline:main]
pipeline = catch_errors gatekeeper cache listing_formats s3api tempauth bulk slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
location = auto
max_bucket_listing = 100
s3_acl = false
[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{user} = {key} .admin
[filter:bulk]
use = egg:swift#bulk
[filter:slo]
use = egg:swift#slo
"""
STORAGE = """
[DEFAULT]
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
KINDS = ("account", "container", "object")


def main(folder: Path, port: int, account: str, user: str, key: str) -> None:
    """Serve until killed."""
    (folder / "devices" / "disk").mkdir(parents=True)
    (folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = tests\n")
    utils.SWIFT_CONF_FILE = str(folder / "swift.conf")
    from swift.common.storage_policy import reload_storage_policies
    from swift.common.wsgi import loadapp

    utils.validate_hash_conf()
    reload_storage_policies()
    sockets = {kind: eventlet.listen(("127.0.0.1", 0)) for kind in KINDS}
    for kind, socket in sockets.items():
        builder = RingBuilder(4, 1, 0)
        place = {"region": 1, "zone": 1, "ip": "127.0.0.1", "device": "disk", "weight": 1}
        builder.add_dev({**place, "id": 0, "port": socket.getsockname()[1]})
        builder.rebalance()
        builder.get_ring().save(str(folder / f"{kind}.ring.gz"))
    names = {"folder": folder, "account": account, "user": user, "key": key}
    for kind, socket in sockets.items():
        conf = folder / f"{kind}.conf"
        conf.write_text(STORAGE.format(kind=kind, **names))
        eventlet.spawn(eventlet.wsgi.server, socket, loadapp(str(conf)))
    conf = folder / "proxy.conf"
    conf.write_text(PROXY.format(**names))
    eventlet.wsgi.server(eventlet.listen(("127.0.0.1", port)), loadapp(str(conf)))


if __name__ == "__main__":
    os.umask(0o077)
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:6])
